"""`gpuctl fleet apply`: a plan carried out on its hosts, wave after wave."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.fleet.asked import RunFolder, Whom, entered, in_a_sentence
from gpuctl.cli.frame.fleet.change import (
    BundleFile,
    Zipapp,
    brings,
    change_code,
    change_run,
    supplied,
    telling_how_to_go_on,
)
from gpuctl.cli.frame.fleet.draining import Draining
from gpuctl.cli.frame.fleet.limiting import Deadlines, option_words
from gpuctl.cli.frame.fleet.waves import Waving
from gpuctl.cli.frame.groups import spread
from gpuctl.cli.frame.known import known_checks
from gpuctl.cli.frame.options import Json, filled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl.command import Command
    from gpuctl.fleet.asking import Way
    from gpuctl.fleet.changes import ChangeRun
    from gpuctl.fleet.parcel import Supplies
    from gpuctl.fleet.plan import FleetPlan


@spread
def apply(
    plan: Annotated[
        str | None,
        typer.Argument(parser=filled, metavar="[PLAN]", help="A file of gpuctl fleet plan.", show_default=False),
    ] = None,
    *,
    waving: Waving,
    draining: Draining,
    smoke: Annotated[bool, typer.Option("--smoke", help="A GPU container has to run on each host.")] = False,
    zipapp: Zipapp = None,
    bundle: BundleFile = None,
    whom: Whom,
    deadlines: Deadlines,
    run: RunFolder = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", parser=filled, metavar="RUN", help="Go on with a run.", show_default=False),
    ] = None,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Name every host.")] = False,
) -> None:
    """Carry out a plan in waves: apply on each host, verify, and roll back what failed. Too many failures stop it."""
    from gpuctl.command import command
    from gpuctl.fleet.begin import among, begun
    from gpuctl.fleet.changes import new_run
    from gpuctl.render.views.fleet_apply import apply_text, change_json

    if (plan is None) == (resume is None):
        raise typer.BadParameter("give the file of a plan, or --resume and a run's folder")
    if resume is not None and (run or smoke or waving.divides or draining.wish()):
        raise typer.BadParameter(
            "--resume goes on as the run was begun: leave out --run, --smoke and how hosts are divided and drained"
        )
    supplies = supplied(zipapp, bundle)
    given = {**waving.limits(), **deadlines.limits()}
    partition, drain = waving.partition(), draining.wish()
    if resume is not None:
        change = change_run(resume)
    else:
        folder = run or time.strftime("gpuctl-apply-%Y%m%dT%H%M%SZ", time.gmtime())
        change = new_run(folder, _read(plan or ""), smoke, drain)
    change = replace(change, limits=replace(change.limits, **given))
    known_checks(change.limits.stop_on, "--stop-on")  # a run that gpuctl could not stop as it was told is not begun
    _check_bundle(supplies, change.plan)
    with in_a_sentence():
        entry = entered(whom, change.limits.host_timeout, change.limits.run_timeout)
        if resume is None:
            change = begun(change, entry, partition)
        hosts = among(change.hosts, entry, "run")
    anew = option_words(given) if resume is not None else ()
    again = ("--resume", change.folder, *whom.words, *brings(zipapp, bundle), *anew)
    go_on = command("gpuctl", "fleet", "apply", *again)
    done = _carried_out(change, hosts, entry.way, supplies, go_on)
    if json:
        typer.echo(change_json("fleet-apply", done))
    else:
        take_back = command("gpuctl", "fleet", "undo", done.folder, *whom.words, *brings(zipapp, None))
        apply_text(done, verbose, go_on, take_back).show()
    raise typer.Exit(change_code(done))


def _check_bundle(supplies: Supplies, plan: FleetPlan) -> None:
    if supplies.bundle is not None and supplies.bundle.place not in plan.words:
        raise typer.BadParameter(
            "the plan is not made with it: give the one that it is made with", param_hint="--bundle"
        )


def _carried_out(run: ChangeRun, hosts: Sequence[str], way: Way, supplies: Supplies, go_on: Command) -> ChangeRun:
    """Carries a run out on these hosts, and ends with the command that goes on with it where that cannot be."""
    from gpuctl.fleet.apply import carry_out
    from gpuctl.fleet.changes import held
    from gpuctl.render.draw.progress import tallying

    going_on, counting = telling_how_to_go_on(run.folder, go_on), tallying("hosts", len(run.hosts))
    with in_a_sentence(), held(run) as run, going_on, counting as tell:
        return carry_out(run, hosts, supplies, way.ask_by, lambda change: tell(change.state, change.host))


def _read(path: str) -> FleetPlan:
    from gpuctl.fleet.plan import BadPlan, plan_in
    from gpuctl.host.write.files import FileProblem, read_named

    try:
        found = plan_in(read_named(path))
    except BadPlan as problem:
        raise refused(f"{path} is no plan to be carried out: {problem}.") from None
    except FileProblem as problem:
        raise refused(str(problem)) from None
    if not found.hosts:
        raise refused(f"{path} changes no host.")
    return found
