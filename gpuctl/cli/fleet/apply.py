"""`gpuctl fleet apply`: a plan carried out on its hosts, wave after wave."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.fleet.asked import NONE_SILENT, RunFolder, entered, in_a_sentence, share_of_hosts
from gpuctl.cli.frame.fleet.change import AskedToChange, Zipapp, change_code, change_run, packed
from gpuctl.cli.frame.groups import spread
from gpuctl.cli.frame.options import Json, filled, seconds
from gpuctl.frozen import dataclass
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.fleet.asking import Entry
    from gpuctl.fleet.changes import ChangeRun
    from gpuctl.fleet.plan import FleetPlan
    from gpuctl.fleet.waves import Size

DEFAULT_WAVES = "1,1%,10%,100%"


@spread
def apply(
    plan: Annotated[
        str | None,
        typer.Argument(parser=filled, metavar="[PLAN]", help="A file of gpuctl fleet plan.", show_default=False),
    ] = None,
    waves: Annotated[
        str, typer.Option("--waves", metavar="SIZES", help="How many hosts at once; the last size is repeated.")
    ] = DEFAULT_WAVES,
    pause: Annotated[
        float | None,
        typer.Option("--pause", parser=seconds, metavar="SECONDS", help="Wait between two waves.", show_default=False),
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option(
            "--domain",
            parser=filled,
            metavar="VAR",
            help="An inventory variable; hosts that share its value are in one wave.",
            show_default=False,
        ),
    ] = None,
    per_domain: Annotated[
        int | None,
        typer.Option(
            "--per-domain", min=1, metavar="N", help="Touch at most N of a domain at once.", show_default=False
        ),
    ] = None,
    max_fail: Annotated[
        str,
        typer.Option("--max-fail", parser=share_of_hosts, metavar="N|N%", help="Go on while no more have failed."),
    ] = NONE_SILENT,
    smoke: Annotated[bool, typer.Option("--smoke", help="A GPU container has to run on each host.")] = False,
    zipapp: Zipapp = None,
    *,
    asked: AskedToChange,
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
    from gpuctl.fleet.ansible import EngineProblem
    from gpuctl.fleet.apply import Pace, carry_out
    from gpuctl.fleet.plan import FleetPlan
    from gpuctl.fleet.silence import share
    from gpuctl.host.write.files import FileProblem
    from gpuctl.render.draw.progress import tallying
    from gpuctl.render.draw.text import say
    from gpuctl.render.views.fleet_apply import apply_text, change_json

    if (plan is None) == (resume is None):
        raise typer.BadParameter("give the file of a plan, or --resume and a run's folder")
    if per_domain is not None and domain is None:
        raise typer.BadParameter("--per-domain goes with --domain, which says what a domain is")
    pace = Pace(pause or 0.0, share(max_fail), packed(zipapp), asked.host_timeout)
    asked_for = change_run(resume) if resume is not None else _read(plan or "")
    sized = _sizes(waves)
    folder = run or time.strftime("gpuctl-apply-%Y%m%dT%H%M%SZ", time.gmtime())
    with in_a_sentence():
        entry = entered(asked)
        begun = (
            _begun(asked_for, entry, sized, Domain(domain, per_domain), smoke, folder)
            if isinstance(asked_for, FleetPlan)
            else asked_for
        )
    go_on = f"What was done is in {begun.folder}. Go on with {command('--resume', begun.folder)}."
    try:
        with tallying("hosts", len(begun.hosts)) as tell:
            done = carry_out(begun, entry.hosts, pace, entry.ask_by, lambda change: tell(change.state, change.host))
    except (EngineProblem, FileProblem) as problem:
        raise refused(f"{problem} {go_on}", ExitCode.UNDETERMINED) from None
    except (KeyboardInterrupt, SystemExit):
        say(go_on)
        raise
    if json:
        typer.echo(change_json("fleet-apply", done))
    else:
        apply_text(done, verbose).show()
    raise typer.Exit(change_code(done))


@dataclass(frozen=True)
class Domain:
    """The variable by which hosts belong together, None for none, and how many of those may be touched at once."""

    variable: str | None
    most: int | None


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


def _sizes(text: str) -> tuple[Size, ...]:
    from gpuctl.fleet.waves import sizes

    try:
        return sizes(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--waves") from None


def _begun(
    plan: FleetPlan, entry: Entry, sized: tuple[Size, ...], domain: Domain, smoke: bool, folder: str
) -> ChangeRun:
    """A run that has its folder, and no wave behind it. Raises EngineProblem, FileProblem."""
    from gpuctl import __version__
    from gpuctl.fleet.ansible import EngineProblem, host_variable
    from gpuctl.fleet.changes import ChangeRun, create
    from gpuctl.fleet.waves import Domains, waves

    hosts = tuple(host for host in entry.hosts if host in plan.hosts)
    missing = sorted(plan.hosts.difference(hosts))
    if not hosts or (missing and entry.target.limit is None):
        raise EngineProblem(f"The plan is for {', '.join(missing[:3])}, and the inventory has no such host.")
    domains = None
    if domain.variable is not None:
        domains = Domains(host_variable(entry.target, domain.variable), domain.most)
        if not domains.of:
            raise EngineProblem(f"No host of the inventory has a variable {domain.variable}.")
    found = ChangeRun(folder, time.time(), plan, smoke, waves(hosts, sized, domains), {})
    create(folder, __version__, found)
    return found
