"""A plan carried out in waves: what comes of a host is on the disk at once, and too many failures stop what is next."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone

from gpuctl.command import command
from gpuctl.fleet.asking import Asking, outcomes
from gpuctl.fleet.changes import (
    BEGUN,
    CHANGED,
    NO_BUNDLE,
    NOT_DRAINED,
    STUCK,
    UNDOING,
    UNDONE,
    UNKNOWN,
    UNTOUCHED,
    Change,
    ChangeRun,
    add,
    again,
    change_of,
    groups_in,
)
from gpuctl.fleet.drain.choose import drain_by
from gpuctl.fleet.drain.drain import Drain, Problems
from gpuctl.fleet.drain.wave import brought_back, seen_back, taken_out
from gpuctl.fleet.parcel import AskBy, Supplies, brought
from gpuctl.fleet.payload import Call
from gpuctl.fleet.plan import Group
from gpuctl.fleet.run_folder import HostOutcome
from gpuctl.fleet.states import Told
from gpuctl.host.act.signals import HeldSignals
from gpuctl.host.write.files import FileProblem

ERRAND = "gpuctl.host.act.errand"
WAITS = "It ends when what is at work on hosts has ended: nothing is cut off in the middle."
UNDOES = "Undoes a change of this host"
Tell = Callable[[Change], None]


def carry_out(run: ChangeRun, among: Sequence[str], supplies: Supplies, ask_by: AskBy, tell: Tell) -> ChangeRun:
    """Changes the hosts of a run that are not yet as its plan wishes, wave after wave, and returns how the run stands.

    `among`: only these. It ends before a wave where too many have failed, or one has what it is to stop on. A signal
    waits until a wave has ended, and ends the run then, as HeldSignals does. Raises what asking raises.
    """
    first, chosen, drain = True, set(among), _drain(run)
    with HeldSignals(WAITS) as signals:
        run = _brought_back(run, drain, CHANGED, run.hosts)  # whom a cut has left
        for wave in run.waves:
            left = tuple(host for host in run.left(wave) if host in chosen)
            if not left:
                continue
            if run.stopping:
                break
            if not first:
                with signals.let_through():
                    time.sleep(run.limits.pause)
            first = False
            perhaps = run.perhaps_changed
            with signals.let_through():
                run, left = _ready(run, left, drain, supplies, ask_by, tell)
            for group, hosts in groups_in(run.plan, left):
                for asked_again in (False, True):
                    some = tuple(host for host in hosts if (host in perhaps) is asked_again)
                    approved = _approved(run, group, asked_again)
                    if some:
                        call = Call("Changes this host", ERRAND, "applied", (supplies.zipapp, approved))
                        _change_hosts(run, some, ask_by(call), tell)
            run = _brought_back(again(run), drain, CHANGED, run.hosts)
            if not run.limits.may_fail.allows(len(run.failed), len(run.hosts)):
                break
        return run if drain is None else seen_back(run, drain)


def undo(run: ChangeRun, among: Sequence[str], zipapp: str, ask_by: AskBy, tell: Tell) -> ChangeRun:
    """Rolls back what a run changed on some of its hosts, by their own journals, and returns how the run stands.

    All at once; where it has taken them out of service before it changed them, wave after wave, the last first, as it
    did then, and who was rolled back comes back. So do those that it has taken out and not touched. Who could not be
    rolled back is UNDOING, and who was not asked stays as it was, with the reason. `zipapp` is a single file of gpuctl
    in base64, "" for none. Raises what asking raises.
    """
    chosen, drain = set(among), _drain(run)
    with HeldSignals(WAITS) as signals:
        for wave in (run.hosts,) if drain is None else reversed(run.waves):
            standing = chosen.intersection(run.standing)
            left = tuple(host for host in wave if host in standing)
            if drain is not None and left:
                with signals.let_through():
                    run, busy = taken_out(run, left, drain)
                    _keep(run, [replace(run.changes[host], detail=why) for host, why in busy.items()], tell)
                    left = tuple(host for host in left if host not in busy)
            known = tuple(host for host in left if run.changes[host].runs)
            others = tuple(host for host in left if not run.changes[host].runs)
            _undo_hosts(run, known, _undone(run, known, zipapp), ask_by, tell)
            _undo_hosts(run, others, _undone_of(run, zipapp), ask_by, tell)
            run = _brought_back(again(run), drain, (UNDONE, *UNTOUCHED), chosen)
        return run if drain is None else seen_back(run, drain)


def _undone(run: ChangeRun, hosts: Sequence[str], zipapp: str) -> Call:
    """What hosts are asked whose runs are known by name."""
    runs = [name for host in hosts for name in run.changes[host].runs]
    return Call(UNDOES, ERRAND, "undone", (runs, zipapp, _options(run), run.limits.host_timeout))


def _undone_of(run: ChangeRun, zipapp: str) -> Call:
    """What hosts are asked that may have been changed, and have not said so."""
    return Call(UNDOES, ERRAND, "undone_of", (_asked_by(run), zipapp, _options(run), run.limits.host_timeout))


def _options(run: ChangeRun) -> list[str]:
    return [one for one in run.plan.words if one == "--no-reload"]


def _undo_hosts(run: ChangeRun, hosts: Sequence[str], call: Call, ask_by: AskBy, tell: Tell) -> None:
    """`undoing` is what a host is until its answer is there, and then where it may be neither old nor new."""
    if not hosts:
        return
    add(run.folder, [replace(run.changes[host], state=UNDOING, at=time.time()) for host in hosts])
    with closing(outcomes(hosts, ask_by(call))) as coming:
        _keep(run, (_rolled_back(run.changes[outcome.host], outcome, raw) for outcome, raw in coming), tell)


def _rolled_back(before: Change, outcome: HostOutcome, raw: bytes | None) -> Change:
    """How a host stands that was asked to undo what this run has changed: `before` is how it stood."""
    change = change_of(outcome, raw, before.drained)
    if change.state == UNDONE:
        return change
    state = UNDOING if change.state in (*UNKNOWN, STUCK) else before.state
    return replace(before, state=state, at=change.at, detail=change.detail)


def _brought_back(run: ChangeRun, drain: Drain | None, states: Collection[str], among: Collection[str]) -> ChangeRun:
    """How a run stands that has brought back what it has taken out, of these hosts those that end in these states."""
    chosen = set(among)
    well = [one for one in run.drained if one.state in states and one.host in chosen]
    return brought_back(run, well, drain) if drain is not None and well else run


def _keep(run: ChangeRun, changes: Iterable[Change], tell: Tell) -> None:
    """Has on the disk, as it comes, how hosts stand, and tells it.

    What the disk does not take cuts off nobody who is at work: it is raised when all have come.
    """
    problem = None
    for change in changes:
        try:
            add(run.folder, [change])
            tell(change)
        except FileProblem as full:
            problem = problem or full
    if problem is not None:
        raise problem


def not_ready(run: ChangeRun, problems: Problems, state: str) -> list[Change]:
    """Returns how hosts stand that cannot be asked to change: of one that was asked before, that stays known."""
    return [
        replace(stands, state=state, at=time.time(), detail=why)
        if stands.state in UNTOUCHED
        else replace(stands, detail=f"It was not asked again: {why}")
        for stands, why in ((run.stands(host), why) for host, why in problems.items())
    ]


def _ready(
    run: ChangeRun, hosts: tuple[str, ...], drain: Drain | None, supplies: Supplies, ask_by: AskBy, tell: Tell
) -> tuple[ChangeRun, tuple[str, ...]]:
    """How the run stands, and which hosts have what they need and are out of service, where that is asked for."""
    if supplies.bundle is not None:
        lacking = brought(supplies.bundle, hosts, ask_by)
        _keep(run, not_ready(run, lacking, NO_BUNDLE), tell)
        hosts = tuple(host for host in hosts if host not in lacking)
    if drain is not None:
        run, busy = taken_out(run, hosts, drain)
        _keep(run, not_ready(run, busy, NOT_DRAINED), tell)
        hosts = tuple(host for host in hosts if host not in busy)
    return run, hosts


def _drain(run: ChangeRun) -> Drain | None:
    if run.drain is None:
        return None
    name, words = posixpath.basename(run.folder.rstrip("/")), command("gpuctl", *run.plan.words)
    return drain_by(run.drain, name, _begun(run), str(words), run.limits.drain_timeout)


def _begun(run: ChangeRun) -> str:
    """When a run was begun, to the microsecond: by that it is known from all others, wherever its folder lies."""
    return datetime.fromtimestamp(run.at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _asked_by(run: ChangeRun) -> str:
    """By which name a run stands in the journals of its hosts."""
    return f"gpuctl fleet apply, begun {_begun(run)}"


def _approved(run: ChangeRun, group: Group, asked_again: bool) -> dict[str, object]:
    """The fields of Approved (gpuctl/host/act/errand.py)."""
    return {
        "words": list(run.plan.words),
        "plan": group.hash,
        "mends": list(group.mends),
        "smoke": run.smoke,
        "asked_by": _asked_by(run),
        "deadline": run.limits.host_timeout,
        "asked_again": asked_again,
    }


def _change_hosts(run: ChangeRun, hosts: Sequence[str], ask: Asking, tell: Tell) -> None:
    """`begun` is what a host is until its answer is there: what a cut leaves says that it may have been changed."""
    drained = {one.host for one in run.drained}
    add(run.folder, [Change(host, BEGUN, time.time(), drained=host in drained) for host in hosts])
    with closing(outcomes(hosts, _once(ask))) as coming:
        _keep(run, (change_of(outcome, raw, outcome.host in drained) for outcome, raw in coming), tell)


def _once(ask: Asking) -> Asking:
    """Asks nobody again whose answer got lost: it may have been changed by then, which only its `begun` tells of."""
    asked: set[str] = set()

    def asking(hosts: Sequence[str], pipelining: bool) -> Iterator[tuple[str, Told]]:
        lost = asked.intersection(hosts) if pipelining else ()
        asked.update(hosts)
        return iter(()) if lost else ask(hosts, pipelining)

    return asking
