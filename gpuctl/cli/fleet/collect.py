"""`gpuctl fleet collect`: record many hosts, each in a snapshot, in one folder."""

from __future__ import annotations

from typing import Annotated

import typer

from gpuctl.cli.frame import fleet
from gpuctl.cli.frame.fleet import asked, recorded_run, silence
from gpuctl.cli.frame.options import Json


def collect(
    context: typer.Context,
    inventory: fleet.Inventories = None,
    hosts: fleet.HostNames = None,
    slurm: fleet.Slurm = None,
    limit: fleet.Limit = None,
    become: fleet.Become = False,
    ask_become_pass: fleet.AskPassword = False,
    become_pass_fd: fleet.PasswordFrom = None,
    host_timeout: fleet.HostTimeout = fleet.HOST_SECONDS,
    run_timeout: fleet.RunTimeout = fleet.RUN_SECONDS,
    logs: fleet.Logs = False,
    run: fleet.RunFolder = None,
    resume: fleet.Resume = None,
    max_unreachable: fleet.MaxUnreachable = fleet.NONE_SILENT,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Name every host that has not reported.")] = False,
) -> None:
    """Record all hosts of an inventory in one folder, and say of which nothing came, and why."""
    from gpuctl.render.views.fleet_collect import collect_json, collect_text

    found = recorded_run(("collect",), asked(context))
    if json:
        typer.echo(collect_json(found))
    else:
        collect_text(found, verbose).show()
    raise typer.Exit(silence(found, max_unreachable))
