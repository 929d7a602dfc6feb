"""A plan carried out in waves: what comes of a host is on the disk at once, and too many failures stop what is next."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from gpuctl import __version__
from gpuctl.command import command
from gpuctl.fleet.ansible import EngineProblem, host_variable
from gpuctl.fleet.asking import Asking, Entry, outcomes
from gpuctl.fleet.changes import BEGUN, NO_BUNDLE, UNDONE, Change, ChangeRun, add, again, change_of, create, groups_in
from gpuctl.fleet.drain.choose import drain_by
from gpuctl.fleet.drain.drain import Drain
from gpuctl.fleet.drain.wave import brought_back, taken_out
from gpuctl.fleet.drain.wish import DrainWish
from gpuctl.fleet.parcel import AskBy, Parcel, Supplies, brought
from gpuctl.fleet.payload import Call
from gpuctl.fleet.plan import FleetPlan, Group
from gpuctl.fleet.silence import Share
from gpuctl.fleet.states import Told
from gpuctl.fleet.waves import Domains, Partition, waves
from gpuctl.frozen import dataclass
from gpuctl.host.act.signals import HeldSignals

ERRAND = "gpuctl.host.act.errand"
Tell = Callable[[Change], None]


@dataclass(frozen=True)
class Pace:
    """How a plan is carried out: seconds between waves, how many hosts may fail, seconds for one step on a host.

    `stop_on`: checks of which no changed host may fail or warn. `drain`: seconds in which hosts have to be free that
    are taken out of service.
    """

    pause: float
    may_fail: Share
    stop_on: frozenset[str]
    drain: float
    supplies: Supplies
    deadline: float


def begun(
    plan: FleetPlan, entry: Entry, partition: Partition, smoke: bool, drain: DrainWish | None, folder: str
) -> ChangeRun:
    """Returns a run that has its folder, and no wave behind it. Raises EngineProblem, FileProblem."""
    hosts = tuple(host for host in entry.hosts if host in plan.hosts)
    missing = sorted(plan.hosts.difference(hosts))
    if not hosts or (missing and entry.target.limit is None):
        raise EngineProblem(f"The plan is for {', '.join(missing[:3])}, and the inventory has no such host.")
    parts = waves(hosts, partition.sizes, _domains(entry, partition))
    found = ChangeRun(folder, time.time(), plan, smoke, drain, parts, {})
    create(folder, __version__, found)
    return found


def _domains(entry: Entry, partition: Partition) -> Domains | None:
    if partition.domain is None:
        return None
    domains = Domains(host_variable(entry.target, partition.domain, entry.end), partition.most)
    if not domains.of:
        raise EngineProblem(f"No host of the inventory has a variable {partition.domain}.")
    return domains


def carry_out(run: ChangeRun, among: Sequence[str], pace: Pace, ask_by: AskBy, tell: Tell) -> ChangeRun:
    """Changes the hosts of a run that are not yet as its plan wishes, wave after wave, and returns how the run stands.

    `among`: only these. It ends before a wave where too many have failed, or one has what it is to stop on. A signal
    waits until a wave has ended, and ends the run then, as HeldSignals does. Raises what asking raises.
    """
    first, chosen, drain = True, set(among), _drain(run, pace)
    with HeldSignals() as signals:
        run = run if drain is None else brought_back(run, drain)  # whom a cut has left
        for wave in run.waves:
            left = tuple(host for host in run.left(wave) if host in chosen)
            if not left:
                continue
            if run.having(pace.stop_on):
                break
            if not first:
                with signals.let_through():
                    time.sleep(pace.pause)
            first = False
            if pace.supplies.bundle is not None:
                with signals.let_through():
                    left = _supplied(run, left, pace.supplies.bundle, ask_by, tell)
            if drain is not None:
                with signals.let_through():
                    run, left = taken_out(run, left, drain, pace.drain, tell)
            for group, hosts in groups_in(run.plan, left):
                arguments = (pace.supplies.zipapp, _approved(run, group, pace))
                _change_hosts(run, hosts, ask_by(Call("Changes this host", ERRAND, "applied", arguments)), tell)
            run = again(run)
            if drain is not None:
                run = brought_back(run, drain)
            if not pace.may_fail.allows(len(run.failed), len(run.hosts)):
                break
    return run


def undo(
    run: ChangeRun,
    hosts: Sequence[str],
    zipapp: str,
    deadline: float,
    ask_by: AskBy,
    tell: Callable[[str, str], None],
) -> ChangeRun:
    """Rolls back what a run changed on some of its hosts, by their own journals, and returns how the run stands.

    Who could not be rolled back stays as it was, `applied`, with the reason. Raises what asking raises.
    """
    runs = [name for one in run.applied if one.host in set(hosts) for name in one.runs]
    options = [one for one in run.plan.words if one == "--no-reload"]
    ask = ask_by(Call("Undoes a change of this host", ERRAND, "undone", (runs, zipapp, options, deadline)))
    with closing(outcomes(hosts, ask)) as coming:
        for outcome, raw in coming:
            change = change_of(outcome, raw, run.changes[outcome.host])
            kept = change if change.state == UNDONE else replace(run.changes[outcome.host], detail=change.detail)
            add(run.folder, [kept])
            tell(change.state, outcome.host)
    return again(run)


def _supplied(run: ChangeRun, hosts: Sequence[str], bundle: Parcel, ask_by: AskBy, tell: Tell) -> tuple[str, ...]:
    """Brings hosts what they need, and returns those that have it."""
    problems = brought(bundle, hosts, ask_by)
    for host, why in problems.items():
        change = replace(run.stands(host), state=NO_BUNDLE, at=time.time(), detail=why)
        add(run.folder, [change])
        tell(change)
    return tuple(host for host in hosts if host not in problems)


def _drain(run: ChangeRun, pace: Pace) -> Drain | None:
    if run.drain is None:
        return None
    name, words = posixpath.basename(run.folder.rstrip("/")), command("gpuctl", *run.plan.words)
    return drain_by(run.drain, name, str(words), pace.drain)


def _approved(run: ChangeRun, group: Group, pace: Pace) -> dict[str, object]:
    """The fields of Approved (gpuctl/host/act/errand.py)."""
    return {
        "words": list(run.plan.words),
        "plan": group.hash,
        "mends": list(group.mends),
        "smoke": run.smoke,
        "since": run.at,
        "deadline": pace.deadline,
    }


def _change_hosts(run: ChangeRun, hosts: Sequence[str], ask: Asking, tell: Tell) -> None:
    """`begun` is what a host is until its answer is there: what a cut leaves says that it may have been changed."""
    drained = {one.host for one in run.drained}
    add(run.folder, [Change(host, BEGUN, time.time(), drained=host in drained) for host in hosts])
    with closing(outcomes(hosts, _once(ask))) as coming:
        for outcome, raw in coming:
            change = change_of(outcome, raw, run.changes.get(outcome.host))
            add(run.folder, [change])
            tell(change)


def _once(ask: Asking) -> Asking:
    """Asks nobody again whose answer got lost: it may have been changed by then, which only its `begun` tells of."""
    asked: set[str] = set()

    def asking(hosts: Sequence[str], pipelining: bool) -> Iterator[tuple[str, Told]]:
        lost = asked.intersection(hosts) if pipelining else ()
        asked.update(hosts)
        return iter(()) if lost else ask(hosts, pipelining)

    return asking
