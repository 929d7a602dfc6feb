"""`gpuctl fleet undo`: what a run of `gpuctl fleet apply` changed is rolled back, by the hosts' own journals."""

from __future__ import annotations

from typing import Annotated

import typer

from gpuctl.cli.frame import fleet
from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.fleet import asked, entered
from gpuctl.cli.frame.fleet_change import CHANGE_RUN_SECONDS, CHANGE_SECONDS, Zipapp, change_run, packed
from gpuctl.cli.frame.options import Json
from gpuctl.model import ExitCode


def undo(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    zipapp: Zipapp = None,
    inventory: fleet.Inventories = None,
    hosts: fleet.HostNames = None,
    slurm: fleet.Slurm = None,
    limit: fleet.Limit = None,
    become: fleet.Become = False,
    ask_become_pass: fleet.AskPassword = False,
    become_pass_fd: fleet.PasswordFrom = None,
    host_timeout: fleet.HostTimeout = CHANGE_SECONDS,
    run_timeout: fleet.RunTimeout = CHANGE_RUN_SECONDS,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Name every host.")] = False,
) -> None:
    """Roll back on its hosts what a run changed, all at once. What others edited since stays, and is said."""
    from gpuctl.fleet.ansible import EngineProblem
    from gpuctl.fleet.apply import undo as roll_back
    from gpuctl.host.write.files import FileProblem
    from gpuctl.render.draw.progress import tallying
    from gpuctl.render.views.fleet_apply import change_json, undo_text

    before = change_run(run)
    try:
        entry = entered(asked(context, run=None))
        wanted = set(entry.hosts)
        changed = tuple(one.host for one in before.applied if one.host in wanted)
        with tallying("hosts", len(changed)) as tell:
            done = roll_back(before, changed, packed(zipapp), host_timeout, entry.ask_by, tell)
    except (EngineProblem, FileProblem) as problem:
        raise refused(str(problem)) from None
    if json:
        typer.echo(change_json("fleet-undo", done))
    else:
        undo_text(done, changed, verbose).show()
    still = {one.host for one in done.applied}.intersection(changed)
    raise typer.Exit(ExitCode.NOT_ROLLED_BACK if still else ExitCode.GOOD)
