"""`gpuctl fleet doctor`: many hosts asked, judged here, and told in classes."""

from __future__ import annotations

import typer

from gpuctl.cli.frame import fleet
from gpuctl.cli.frame.fleet import asked, recorded_run
from gpuctl.cli.frame.fleet_report import FormatName, OutputFiles, Strict, Verbose, tell
from gpuctl.cli.frame.formats import outputs_in
from gpuctl.cli.frame.options import Json
from gpuctl.render.formats.fleet.formats import FleetFormat


def doctor(
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
    format: FormatName = None,
    output: OutputFiles = None,
    verbose: Verbose = False,
    strict: Strict = False,
) -> None:
    """Say what is wrong on the hosts of an inventory, in classes, and which are not like the others."""
    wanted = outputs_in(FleetFormat, format, json, output)
    raise typer.Exit(tell(recorded_run(("doctor",), asked(context)), wanted, verbose, strict, max_unreachable))
