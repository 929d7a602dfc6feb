"""The folder of a run that changes hosts: its plan, its waves, and how each host ended, on the disk at once.

    RUN/run.json        {"schema": "gpuctl.fleet-change/1", "gpuctl": "1.0", "at": 1764000000.1, "smoke": false,
                         "drain": {"scheduler": "slurm", "before": [], "after": [], …},
                         "limits": {"max_fail": "0%", "stop_on": [], "pause": 0.0, …},
                         "plan": {"schema": "gpuctl.fleet-plan/1", …}, "waves": [["gpu01"], ["gpu02", "gpu03"]]}
    RUN/changes.jsonl   {"host": "gpu01", "state": "begun", "at": 1764000003.2, "runs": [], "detail": "", …}
                        {"host": "gpu01", "state": "applied", "at": 1764000009.9, "runs": ["20251124T…Z"], …}

A host's `begun` is there before anything is done to it. The last line of a host counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from gpuctl.bounds import plain, with_end
from gpuctl.fleet.drain.wish import DrainWish, wish_in
from gpuctl.fleet.drain.wish import as_document as drain_document
from gpuctl.fleet.limits import Limits, limits_in
from gpuctl.fleet.limits import as_document as limits_document
from gpuctl.fleet.plan import SCHEMA as PLAN_SCHEMA
from gpuctl.fleet.plan import FleetPlan, Group, as_document, plan_in
from gpuctl.fleet.run_folder import (
    CHANGE_SCHEMA,
    LONGEST_DETAIL,
    RUN,
    BadRun,
    HostOutcome,
    State,
    check_schema,
    checked_name,
    lines_in,
)
from gpuctl.frozen import dataclass
from gpuctl.host.decode import flag_in, moment_in, object_in, parse_object, text_in, texts_in
from gpuctl.host.write.appended import append_lines
from gpuctl.host.write.files import read_named
from gpuctl.host.write.lock import locked_file
from gpuctl.host.write.output import folder_for, write_new

CHANGES = "changes.jsonl"
DRAINING, NOT_DRAINED = "draining", "not-drained"
"""Of a host that is being taken out of service, and of one that was not to be: nothing was done to it."""
NO_BUNDLE = "no-bundle"
"""Of a host to which what it needs could not be brought: nothing was done to it."""
BEGUN, APPLIED, UNCHANGED, UNDONE = "begun", "applied", "unchanged", "undone"
UNDOING = "undoing"
"""Of a host of which a rollback was begun, and is not known to have ended well."""
STUCK = "stuck"
CHANGED = (APPLIED, UNCHANGED)
"""As the plan wishes: all others count as failed."""
UNTOUCHED = (DRAINING, NOT_DRAINED, NO_BUNDLE)
"""Of a host to which nothing was done but to take it out of service."""
UNKNOWN = (BEGUN, *(state.value for state in (State.LOST, State.UNREACHABLE, State.BROKEN)))
"""Of a host that may have been changed all the same."""
ENDS = (APPLIED, UNCHANGED, UNDONE, "plan-changed", "refused", "busy", "cannot-change", "rolled-back", STUCK)
"""What a host itself says (gpuctl/host/act/errand.py)."""
STATES = (
    NO_BUNDLE,
    DRAINING,
    NOT_DRAINED,
    BEGUN,
    *ENDS,
    UNDOING,
    *(state.value for state in State if state is not State.REPORTED),
)


@dataclass(frozen=True)
class Change:
    """How one host ended, when (seconds since the epoch), by which runs in its own journal, and a sentence on why.

    `found`: the checks that failed or warned on it afterwards. `drained`: the run has taken it out of service, and has
    not brought it back.
    """

    host: str
    state: str
    at: float
    runs: tuple[str, ...] = ()
    detail: str = ""
    found: tuple[str, ...] = ()
    drained: bool = False


@dataclass(frozen=True)
class ChangeRun:
    """A run as its folder has it. `changes`: how each host stands of which something is known.

    `drain`: how hosts are taken out of service before they are changed, None where they are not. `limits`: those that
    it was begun with, or that whoever goes on with it has given anew.
    """

    folder: str
    at: float
    plan: FleetPlan
    smoke: bool
    drain: DrainWish | None
    limits: Limits
    waves: tuple[tuple[str, ...], ...]
    changes: Mapping[str, Change]

    @property
    def hosts(self) -> tuple[str, ...]:
        """All hosts that are to be changed, in their order."""
        return tuple(host for wave in self.waves for host in wave)

    @property
    def failed(self) -> tuple[Change, ...]:
        """Hosts that are not as the plan wishes, and were asked to be; undone ones are as somebody else wishes."""
        return tuple(one for one in self.changes.values() if one.state not in (*CHANGED, UNDONE))

    @property
    def applied(self) -> tuple[Change, ...]:
        """Hosts that this run has changed."""
        return tuple(one for one in self.changes.values() if one.state == APPLIED and one.runs)

    @property
    def standing(self) -> frozenset[str]:
        """Hosts of which an undo has something to take back, or may have."""
        theirs = (one.host for one in self.changes.values() if one.state in (UNDOING, STUCK))
        return frozenset((*(one.host for one in self.applied), *theirs, *self.perhaps_changed))

    @property
    def drained(self) -> tuple[Change, ...]:
        """Hosts that this run has taken out of service and not brought back."""
        return tuple(one for one in self.changes.values() if one.drained)

    @property
    def perhaps_changed(self) -> frozenset[str]:
        """Hosts that this run may have changed: it has asked them to be, and does not know how that ended."""
        return frozenset(one.host for one in self.changes.values() if one.state in (*UNKNOWN, UNDOING))

    @property
    def stopped_before(self) -> int | None:
        """The number of the first wave of which no host was asked, None where there is none."""
        untouched = (number for number, wave in enumerate(self.waves, 1) if not self.changes.keys() & set(wave))
        return next(untouched, None)

    def stands(self, host: str) -> Change:
        """Returns how a host stands: DRAINING, where nothing is known of it."""
        return self.changes.get(host) or Change(host, DRAINING, time.time())

    @property
    def stopping(self) -> dict[str, frozenset[str]]:
        """Changed hosts on which checks failed or warned that are to end the run, and which."""
        checks = self.limits.checks
        return {one.host: checks.intersection(one.found) for one in self.changes.values() if checks & set(one.found)}

    def left(self, wave: Sequence[str]) -> tuple[str, ...]:
        """Returns the hosts of a wave that are not yet as the plan wishes; one that was undone is to stay so."""
        over = (*CHANGED, UNDONE)
        return tuple(one for one in wave if one not in self.changes or self.changes[one].state not in over)


def new_run(folder: str, plan: FleetPlan, smoke: bool, drain: DrainWish | None) -> ChangeRun:
    """Returns a run of a plan that is still to be begun: it has no waves, and no folder is made."""
    return ChangeRun(folder, time.time(), plan, smoke, drain, Limits(), (), {})


def create(folder: str, gpuctl: str, run: ChangeRun) -> None:
    """Makes a run's folder, which nobody but its owner may enter. Raises FileProblem where something is there."""
    plan = {"schema": PLAN_SCHEMA, **as_document(run.plan)}
    how = {"smoke": run.smoke, "drain": drain_document(run.drain), "limits": limits_document(run.limits)}
    head = {"schema": CHANGE_SCHEMA, "gpuctl": gpuctl, "at": run.at, **how, "plan": plan, "waves": run.waves}
    with folder_for(folder):
        write_new(f"{folder}/{RUN}", (json.dumps(head) + "\n").encode())


def add(folder: str, changes: Iterable[Change]) -> None:
    """Writes down how hosts stand; returns when that is on the disk. Raises FileProblem."""
    lines = [
        {
            "host": one.host,
            "state": one.state,
            "at": one.at,
            "runs": one.runs,
            "detail": with_end(plain(one.detail), LONGEST_DETAIL),
            "found": one.found,
            "drained": one.drained,
        }
        for one in changes
    ]
    append_lines(f"{folder}/{CHANGES}", lines, 0o600)


def change_of(outcome: HostOutcome, raw: bytes | None, drained: bool) -> Change:
    """Returns how a host ended that was asked, by what it answered; `drained`: as a Change has it."""
    ended = Change(outcome.host, outcome.state.value, outcome.at, drained=drained)
    if raw is None:
        return replace(ended, detail=outcome.detail)
    try:
        answer = parse_object(raw)
        state, runs = text_in(answer, "ended") or "", texts_in(answer, "runs")
        detail, found = text_in(answer, "detail") or "", texts_in(answer, "found")
        if state not in ENDS:
            raise ValueError("it does not say how it ended")
    except ValueError as error:
        return replace(ended, state=State.BROKEN.value, detail=f"What it answered is no change: {error}.")
    return replace(ended, state=state, runs=() if state == UNCHANGED else runs, detail=detail, found=found)


def read(folder: str) -> ChangeRun:
    """Returns what a run's folder has. Raises BadRun for one that was not written so, FileProblem."""
    try:
        run = _run(folder, parse_object(read_named(f"{folder}/{RUN}")))
    except ValueError as error:
        raise BadRun(f"{RUN}: {error}") from None
    return again(run)


@contextmanager
def held(run: ChangeRun) -> Iterator[ChangeRun]:
    """Gives a run as its folder has it by now, and keeps every other gpuctl from going on with it meanwhile.

    Raises as `read`, and FileProblem where another one goes on with it.
    """
    with locked_file(f"{run.folder}/{RUN}"):
        yield again(run)


def again(run: ChangeRun) -> ChangeRun:
    """Returns a run as its folder has it by now. Raises as `read`."""
    return replace(run, changes={one.host: one for one in _changes(run.folder)})


def _run(folder: str, head: Mapping[str, Any]) -> ChangeRun:
    check_schema(head, CHANGE_SCHEMA)
    plan = plan_in(json.dumps(object_in(head, "plan")).encode())
    waves = tuple(tuple(map(checked_name, _texts(wave))) for wave in _list(head.get("waves")))
    hosts = [host for wave in waves for host in wave]
    if len(hosts) != len(set(hosts)) or not plan.hosts.issuperset(hosts):
        raise ValueError("its waves are not hosts of its plan, each once")
    how = flag_in(head, "smoke") or False, wish_in(head, "drain"), limits_in(head, "limits")
    return ChangeRun(folder, moment_in(head, "at"), plan, *how, waves, {})


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("its waves are no list")
    return value


def _texts(value: object) -> list[str]:
    found = _list(value)
    if not all(isinstance(one, str) for one in found):
        raise ValueError("its waves are no names of hosts")
    return found


def _changes(folder: str) -> Iterator[Change]:
    for number, line in lines_in(f"{folder}/{CHANGES}"):
        try:
            yield _change(line)
        except ValueError as error:
            raise BadRun(f"{CHANGES}, line {number}: {error}") from None


def _change(line: Mapping[str, Any]) -> Change:
    state = text_in(line, "state") or ""
    if state not in STATES:
        raise ValueError(f"{state[:40]!r} is no way in which a host ends")
    host = checked_name(text_in(line, "host") or "")
    told = (
        texts_in(line, "runs"),
        text_in(line, "detail") or "",
        texts_in(line, "found"),
        flag_in(line, "drained") or False,
    )
    return Change(host, state, moment_in(line, "at"), *told)


def groups_in(plan: FleetPlan, hosts: Sequence[str]) -> Iterator[tuple[Group, tuple[str, ...]]]:
    """Yields each group of a plan that has some of these hosts, with those."""
    wanted = set(hosts)
    for group in plan.groups:
        some = tuple(host for host in group.hosts if host in wanted)
        if some:
            yield group, some
