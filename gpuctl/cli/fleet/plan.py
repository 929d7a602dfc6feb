"""`gpuctl fleet plan`: what a change would come to on each of many hosts, equal plans once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpuctl.cli.frame.fleet.asked import Asked, HostTimeout, RunTimeout, asking, entered, in_a_sentence
from gpuctl.cli.frame.fleet.change import BundleFile, Zipapp, brings, supplied
from gpuctl.cli.frame.groups import spread
from gpuctl.cli.frame.options import Json, filled
from gpuctl.command import command
from gpuctl.fleet.limits import Limits
from gpuctl.frozen import dataclass
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.fleet.asking import Asking
    from gpuctl.fleet.parcel import Parcel, Supplies
    from gpuctl.fleet.payload import Call
    from gpuctl.fleet.plan import FleetPlan
    from gpuctl.fleet.run_folder import HostOutcome

DOCTOR = "doctor"
PLANNED = ("install-runtime", "uninstall-runtime", DOCTOR)
"""The commands that a fleet can be changed by."""
ELSEWHERE = ("fix", "yes", "only", "skip", "strict", "verbose")
"""Parameters of the doctor that mean something where it mends other hosts."""


@dataclass(frozen=True)
class AskedToPlan(Asked):
    """What was typed about whom to ask, how, and for how long: a package manager may take minutes."""

    host_timeout: HostTimeout = Limits.host_timeout
    run_timeout: RunTimeout = Limits.run_timeout


@spread
def plan(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="COMMAND…",
            help="install-runtime, uninstall-runtime or doctor --fix, with its options.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", parser=filled, metavar="PLAN", help="Keep it in this file.", show_default=False),
    ] = None,
    zipapp: Zipapp = None,
    bundle: BundleFile = None,
    *,
    asked: AskedToPlan,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Name every host.")] = False,
) -> None:
    """Have each host say what a command would change on it, and show equal plans once. Changes nothing."""
    from gpuctl import __version__
    from gpuctl.fleet.payload import Call
    from gpuctl.fleet.plan import plan_of
    from gpuctl.host.write.output import is_stdout, write_whole
    from gpuctl.render.draw.text import say
    from gpuctl.render.views.fleet_plan import plan_json, plan_text

    supplies = supplied(zipapp, bundle)
    words = _with_bundle(_checked(words), supplies)
    call = Call("Plans a change. Changes nothing", "gpuctl.host.act.errand", "planned", (words, supplies.zipapp))
    with in_a_sentence():
        found = plan_of(__version__, time.time(), words, _answers(call, supplies.bundle, asked))
    if output is not None:
        with in_a_sentence():
            write_whole(output, f"{plan_json(found)}\n".encode(), private=True)
    if json:
        typer.echo(plan_json(found))
    elif output != "-":
        plan_text(found, verbose).show()
    if output is not None and not is_stdout(output):
        say(f"Wrote {output}. {_way_on(found, ['apply', output, *asked.words, *brings(zipapp, bundle)])}")
    raise typer.Exit(_code({one.why for one in found.unplanned}))


def _way_on(plan: FleetPlan, words: list[str]) -> str:
    return f"To carry it out: {command('gpuctl', 'fleet', *words)}" if plan.groups else "It changes no host."


def _with_bundle(words: list[str], supplies: Supplies) -> list[str]:
    """The words with the place on each host at which the bundle is to lie."""
    if supplies.bundle is None:
        return words
    if words[0] != "install-runtime":
        raise typer.BadParameter(f"{words[0]} takes nothing from it", param_hint="--bundle")
    return [*words, "--from-bundle", supplies.bundle.place]


def _answers(call: Call, bundle: Parcel | None, asked: Asked) -> list[tuple[HostOutcome, bytes | None]]:
    """How each host ended, and what it answered. Raises EngineProblem."""
    if bundle is None:
        with asking(asked, call) as (hosts, ask):
            return _outcomes(hosts, ask)
    from gpuctl.fleet.parcel import brought
    from gpuctl.fleet.run_folder import HostOutcome, State

    entry = entered(asked, asked.host_timeout, asked.run_timeout)
    problems = brought(bundle, entry.hosts, entry.way.ask_by)
    lacking = [
        HostOutcome(host, State.BROKEN, time.time(), f"The bundle could not be brought there: {why}")
        for host, why in problems.items()
    ]
    hosts = tuple(host for host in entry.hosts if host not in problems)
    return [*((one, None) for one in lacking), *_outcomes(hosts, entry.way.ask_by(call))]


def _outcomes(hosts: Sequence[str], ask: Asking) -> list[tuple[HostOutcome, bytes | None]]:
    from gpuctl.fleet.asking import outcomes
    from gpuctl.render.draw.progress import tallying

    found = []
    with tallying("hosts", len(hosts)) as tell, closing(outcomes(hosts, ask)) as coming:
        for outcome, raw in coming:
            tell(outcome.state.value, outcome.host)
            found.append((outcome, raw))
    return found


def _checked(words: list[str]) -> list[str]:
    """Returns the words that every host is asked of. Refuses, before one is, what the command itself would refuse."""
    from typer.main import get_command

    from gpuctl.cli.frame.app import app

    name, *options = words
    if name not in PLANNED:
        raise typer.BadParameter(f"{name} is none of {', '.join(PLANNED)}", param_hint="COMMAND")
    if "--dry-run" in options:
        raise typer.BadParameter("a plan changes nothing: leave out --dry-run", param_hint="COMMAND")
    command = get_command(app).get_command(None, name)  # type: ignore[attr-defined]
    typed = command.make_context(f"gpuctl {name}", options).params
    return words if name != DOCTOR else _mending(words, typed)


def _mending(words: list[str], typed: Mapping[str, Any]) -> list[str]:
    """The doctor's words with --yes: whoever has read the plan has allowed what it says."""
    if not typed["fix"]:
        raise typer.BadParameter("doctor changes nothing without --fix", param_hint="COMMAND")
    if any(value and name not in ELSEWHERE for name, value in typed.items()):
        raise typer.BadParameter("of doctor's options, --fix, --only and --skip go with a plan", param_hint="COMMAND")
    return words if typed["yes"] else [*words, "--yes"]


def _code(whys: set[str]) -> ExitCode:
    from gpuctl.fleet.plan import CANNOT, REFUSED, TWICE

    if whys & {CANNOT, REFUSED}:
        return ExitCode.PROBLEM
    return ExitCode.UNDETERMINED if whys - {TWICE} else ExitCode.GOOD
