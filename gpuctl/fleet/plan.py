"""A plan for a fleet: each host has said what would be changed on it, and hosts that say the same are one group.

The plan's file holds a checksum of all that is in it: what a person has read is what is carried out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gpuctl.bounds import plain, with_end
from gpuctl.fleet.run_folder import LONGEST_DETAIL, HostOutcome, State, checked_name
from gpuctl.frozen import dataclass
from gpuctl.host.act.errand import fingerprint
from gpuctl.host.decode import moment_in, object_in, objects_in, parse_object, text_in, texts_in
from gpuctl.model import Disturbs, ExitCode, Step

SCHEMA = "gpuctl.fleet-plan/1"
LONGEST_ANSWER = 1 << 20
"""Bytes of what one host says: thousands of times what a change of an engine's files takes."""
CANNOT, REFUSED = "cannot-change", "refused"
"""Of a host: nothing there can change it; and its gpuctl does not do what is asked."""
TWICE = "host-twice"
"""Of a name: another name of the same host has the plan."""


class BadPlan(ValueError):
    """A file is no plan of gpuctl's. The message says why, in words that go after its name."""


@dataclass(frozen=True)
class Group:
    """Hosts on which the same would be changed, that change by its hash, and the failing checks that it mends there."""

    hash: str
    hosts: tuple[str, ...]
    steps: tuple[Step, ...]
    mends: tuple[str, ...]


@dataclass(frozen=True)
class Unplanned:
    """A host of which there is no plan: `why` is CANNOT, REFUSED, TWICE or a state of a host, `detail` a sentence."""

    host: str
    why: str
    detail: str


@dataclass(frozen=True)
class FleetPlan:
    """What would be changed by a command of gpuctl's (`words`) on which hosts; `unchanged`: those that are as wished.

    `at` in seconds since the epoch. Groups are the largest first.
    """

    gpuctl: str
    at: float
    words: tuple[str, ...]
    groups: tuple[Group, ...]
    unchanged: tuple[str, ...]
    unplanned: tuple[Unplanned, ...]

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that it would change."""
        return frozenset(host for group in self.groups for host in group.hosts)


@dataclass(frozen=True)
class _Told:
    """What one host's gpuctl would do. `here`: what no other host says (`planned`), "" where that is not known."""

    host: str
    here: str
    hash: str
    steps: tuple[Step, ...]
    mends: tuple[str, ...]


def plan_of(
    gpuctl: str, at: float, words: Sequence[str], answers: Iterable[tuple[HostOutcome, bytes | None]]
) -> FleetPlan:
    """Returns the plan that the hosts' answers come to (`planned` in gpuctl/host/act/errand.py)."""
    told = _each_once([_told(outcome, raw) for outcome, raw in answers])
    planned = [one for one in told if isinstance(one, _Told)]
    alike: dict[str, list[_Told]] = {}
    for one in planned:
        if one.steps:
            alike.setdefault(one.hash, []).append(one)
    groups = sorted(map(_group, alike.values()), key=lambda group: (-len(group.hosts), group.hash))
    unchanged = tuple(sorted(one.host for one in planned if not one.steps))
    unplanned = tuple(sorted((one for one in told if isinstance(one, Unplanned)), key=lambda one: one.host))
    return FleetPlan(gpuctl, at, tuple(words), tuple(groups), unchanged, unplanned)


def _each_once(told: Sequence[_Told | Unplanned]) -> list[_Told | Unplanned]:
    """What hosts say, and of those that are one host only what it says by the first of its names."""
    names: dict[str, str] = {}
    for one in sorted((one for one in told if isinstance(one, _Told)), key=lambda one: one.host):
        names.setdefault(one.here or one.host, one.host)
    return [one if isinstance(one, Unplanned) else _by_its_name(one, names[one.here or one.host]) for one in told]


def _by_its_name(one: _Told, name: str) -> _Told | Unplanned:
    why = f"It is {name} by another name, and is planned for once."
    return one if one.host == name else Unplanned(one.host, TWICE, why)


def _group(alike: Sequence[_Told]) -> Group:
    mends = sorted({check for one in alike for check in one.mends})
    return Group(alike[0].hash, tuple(sorted(one.host for one in alike)), alike[0].steps, tuple(mends))


def _told(outcome: HostOutcome, raw: bytes | None) -> _Told | Unplanned:
    if raw is None:
        return Unplanned(outcome.host, outcome.state.value, outcome.detail)
    try:
        return _planned(outcome.host, raw)
    except ValueError as error:
        return Unplanned(outcome.host, State.BROKEN.value, f"What it answered is no plan: {error}.")


def _planned(host: str, raw: bytes) -> _Told | Unplanned:
    if len(raw) > LONGEST_ANSWER:
        raise ValueError(f"it is larger than {LONGEST_ANSWER} bytes")
    answer = parse_object(raw)
    cannot = text_in(answer, "cannot")
    if cannot is not None:
        return Unplanned(host, CANNOT, _sentence(cannot))
    change = object_in(answer, "change")
    if answer.get("code") != ExitCode.GOOD or not change:
        why = text_in(change, "error") or text_in(answer, "said") or "Its gpuctl does not say why."
        return Unplanned(host, REFUSED, _sentence(why))
    here = text_in(answer, "here") or ""
    return _Told(host, here, fingerprint(change), _steps(change), texts_in(answer, "mends"))


def _sentence(words: str) -> str:
    return with_end(plain(words), LONGEST_DETAIL)


def _steps(change: Mapping[str, Any]) -> tuple[Step, ...]:
    return tuple(
        Step(
            text_in(one, "text") or "",
            Disturbs(text_in(one, "disturbs")),
            text_in(one, "undo") or "",
            text_in(one, "diff") or "",
        )
        for one in objects_in(change, "steps")
    )


def as_document(plan: FleetPlan) -> dict[str, Any]:
    """Returns what a plan's file holds besides its schema, the checksum of all the rest at its end."""
    body = {
        "gpuctl": plan.gpuctl,
        "at": plan.at,
        "command": list(plan.words),
        "groups": [
            {
                "hash": group.hash,
                "hosts": list(group.hosts),
                "steps": [
                    {"text": one.text, "disturbs": one.disturbs.value, "undo": one.undo, "diff": one.diff}
                    for one in group.steps
                ],
                "mends": list(group.mends),
            }
            for group in plan.groups
        ],
        "unchanged": list(plan.unchanged),
        "unplanned": [{"host": one.host, "why": one.why, "detail": one.detail} for one in plan.unplanned],
    }
    return {**body, "checksum": _checksum(body)}


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def plan_in(raw: bytes) -> FleetPlan:
    """Returns the plan that a file holds. Raises BadPlan where it holds none, or is not as gpuctl wrote it."""
    try:
        found = parse_object(raw)
        if found.pop("schema", None) != SCHEMA:
            raise BadPlan(f"it is none of {SCHEMA}")
        if found.pop("checksum", None) != _checksum(found):
            raise BadPlan("it is not as gpuctl wrote it: make a new plan, and leave its file as it is")
        return _plan(found)
    except BadPlan:
        raise
    except ValueError as error:
        raise BadPlan(str(error)) from None


def _plan(found: Mapping[str, Any]) -> FleetPlan:
    groups = tuple(
        Group(text_in(one, "hash") or "", _hosts(one, "hosts"), _steps(one), texts_in(one, "mends"))
        for one in objects_in(found, "groups")
    )
    unplanned = tuple(
        Unplanned(checked_name(text_in(one, "host") or ""), text_in(one, "why") or "", text_in(one, "detail") or "")
        for one in objects_in(found, "unplanned")
    )
    words = texts_in(found, "command")
    return FleetPlan(
        text_in(found, "gpuctl") or "", moment_in(found, "at"), words, groups, _hosts(found, "unchanged"), unplanned
    )


def _hosts(found: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(map(checked_name, texts_in(found, name)))
