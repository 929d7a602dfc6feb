"""`gpuctl fleet undo`: what a run of `gpuctl fleet apply` changed is rolled back, by the hosts' own journals."""

from __future__ import annotations

from typing import Annotated

import typer

from gpuctl.cli.frame.fleet.asked import entered, in_a_sentence
from gpuctl.cli.frame.fleet.change import AskedToChange, Zipapp, change_run, packed
from gpuctl.cli.frame.groups import spread
from gpuctl.cli.frame.options import Json
from gpuctl.model import ExitCode


@spread
def undo(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    zipapp: Zipapp = None,
    *,
    asked: AskedToChange,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Name every host.")] = False,
) -> None:
    """Roll back on its hosts what a run changed, all at once. What others edited since stays, and is said."""
    from gpuctl.fleet.apply import undo as roll_back
    from gpuctl.render.draw.progress import tallying
    from gpuctl.render.views.fleet_apply import change_json, undo_text

    before = change_run(run)
    with in_a_sentence():
        entry = entered(asked)
        wanted = set(entry.hosts)
        changed = tuple(one.host for one in before.applied if one.host in wanted)
        with tallying("hosts", len(changed)) as tell:
            done = roll_back(before, changed, packed(zipapp), asked.host_timeout, entry.ask_by, tell)
    if json:
        typer.echo(change_json("fleet-undo", done))
    else:
        undo_text(done, changed, verbose).show()
    still = {one.host for one in done.applied}.intersection(changed)
    raise typer.Exit(ExitCode.NOT_ROLLED_BACK if still else ExitCode.GOOD)
