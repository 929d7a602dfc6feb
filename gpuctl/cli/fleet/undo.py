"""`gpuctl fleet undo`: what a run of `gpuctl fleet apply` changed is rolled back, by the hosts' own journals."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.fleet.asked import Whom, entered, in_a_sentence
from gpuctl.cli.frame.fleet.change import Zipapp, brings, change_run, packed, telling_how_to_go_on
from gpuctl.cli.frame.fleet.limiting import Deadlines, option_words
from gpuctl.cli.frame.groups import spread
from gpuctl.cli.frame.options import Json
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from collections.abc import Collection

    from gpuctl.fleet.changes import ChangeRun


@spread
def undo(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    zipapp: Zipapp = None,
    *,
    whom: Whom,
    deadlines: Deadlines,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Name every host.")] = False,
) -> None:
    """Roll back on its hosts what a run changed, out of service as it was then. What others edited since stays."""
    from gpuctl.command import command
    from gpuctl.fleet.apply import undo as roll_back
    from gpuctl.fleet.begin import among
    from gpuctl.fleet.changes import held
    from gpuctl.render.draw.progress import tallying
    from gpuctl.render.views.fleet_apply import change_json, undo_text

    single_file, anew = packed(zipapp), deadlines.limits()
    found = change_run(run)
    found = replace(found, limits=replace(found.limits, **anew))
    go_on = command("gpuctl", "fleet", "undo", run, *whom.words, *brings(zipapp, None), *option_words(anew))
    with in_a_sentence():
        entry = entered(whom, found.limits.host_timeout, found.limits.run_timeout)
        hosts = among(found.hosts, entry, "run")
        with held(found) as before:
            standing = before.standing.intersection(hosts)
            changed = tuple(host for host in before.hosts if host in standing)
            with telling_how_to_go_on(run, go_on), tallying("hosts", len(changed)) as tell:
                done = roll_back(
                    before, hosts, single_file, entry.way.ask_by, lambda change: tell(change.state, change.host)
                )
    if json:
        typer.echo(change_json("fleet-undo", done))
    else:
        undo_text(done, changed, verbose, go_on).show()
    raise typer.Exit(_code(done, changed))


def _code(run: ChangeRun, changed: Collection[str]) -> ExitCode:
    if run.standing.intersection(changed):
        return ExitCode.NOT_ROLLED_BACK
    return ExitCode.PROBLEM if any(one.host in changed for one in run.drained) else ExitCode.GOOD
