"""Two snapshots of a host, or of two hosts: which facts, files and findings differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from gpuctl.checks.every import diagnose
from gpuctl.facts.gather import Facts, Missing, gather
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Outcome, Reading
from gpuctl.host.record.archive import Snapshot
from gpuctl.host.record.redact import redact
from gpuctl.model import Fact, Finding, Status

LOUD = (Status.FAIL, Status.WARN, Status.UNKNOWN)
_PASSING = frozenset(("pid", "started", "containers_running", "running", "settings"))
"""What is another after every start of a daemon or a container, and says nothing of the host; and a whole file."""
_NAMES = ("uuid", "address", "path", "id", "module", "file", "name")
_NO_FILES = ("/proc/", "/sys/", "/dev/", "/run/", "/var/lib/dkms/", "/var/lib/gpuctl/")
"""What the kernel shows and what is written by itself: where it matters, a fact says it."""


@dataclass(frozen=True)
class Difference:
    """A fact by its name, or a file by its path, before and after; None where it was not there."""

    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class FindingDifference:
    """A finding that is none of a good host before or after; None where it is not there, or good."""

    id: str
    old: Finding | None
    new: Finding | None


@dataclass(frozen=True)
class Comparison:
    """All that differs."""

    facts: tuple[Difference, ...]
    files: tuple[Difference, ...]
    findings: tuple[FindingDifference, ...]

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.facts or self.files or self.findings)


def compare(old: Snapshot, new: Snapshot) -> Comparison:
    """Returns what differs between two snapshots, both judged by the knowledge of today."""
    before, after = gather(old.host), gather(new.host)
    return Comparison(
        facts=tuple(_changes(dict(leaves(before)), dict(leaves(after)))),
        files=tuple(_changed_files(old.readings, new.readings)),
        findings=tuple(_changed_findings(before, after)),
    )


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield Difference(name, _public(name, old.get(name)), _public(name, new.get(name)))


def _public(name: str, text: str | None) -> str | None:
    """A snapshot has no secrets left where gpuctl wrote it, and anybody may have."""
    return None if text is None else redact("read", name, text)[0]


def leaves(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yields every single fact's name and value, such as driver.version and 535.161.08; nothing for an absent one."""
    for subject, seen in facts.found.items():
        yield from _leaves(subject.__name__.lower(), seen)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Missing):
        yield name, f"unknown: {value.reason}"
    elif isinstance(value, Fact):
        yield from [(name, f"unknown: {value.unknown}")] if value.unknown is not None else _leaves(name, value.value)
    elif is_dataclass(value):
        parts = {field.name: getattr(value, field.name) for field in fields(value) if field.name not in _PASSING}
        yield from _parts(name, parts)
    elif isinstance(value, Mapping):
        yield from _parts(name, value)
    elif isinstance(value, tuple) and any(is_dataclass(one) for one in value):
        yield from _parts(name, {_called(one, number): one for number, one in enumerate(value)})
    elif value is not None:
        yield name, _shown(value)


def _parts(name: str, parts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for part, value in parts.items():
        yield from _leaves(f"{name}.{part}", value)


def _called(one: Any, number: int) -> str:
    """What tells one of many: its UUID or place rather than its number, which another may have the next time."""
    value = one.value if isinstance(one, Fact) else one
    return str(next((getattr(value, name) for name in _NAMES if getattr(value, name, None)), number))


def _shown(value: Any) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(str, value))) or "none"
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return str(value.value if isinstance(value, Enum) else value)


def _changed_files(old: Mapping[str, Reading], new: Mapping[str, Reading]) -> Iterator[Difference]:
    """Of files that were looked at in both; one that could not be read tells nothing."""
    for name in sorted(old.keys() & new.keys()):
        before, after = old[name], new[name]
        known = {before.outcome, after.outcome} <= {Outcome.OK, Outcome.ABSENT}
        if name.startswith("read:") and not before.source.startswith(_NO_FILES) and known:
            yield from _changes(_file(before), _file(after))


def _file(seen: Reading) -> dict[str, str]:
    return {seen.source: seen.text} if seen.ok else {}


def _changed_findings(before: Facts, after: Facts) -> Iterator[FindingDifference]:
    old, new = (_loud(facts) for facts in (before, after))
    for id in dict.fromkeys([*new, *old]):
        one, other = old.get(id), new.get(id)
        if one is None or other is None or (one.status, one.message) != (other.status, other.message):
            yield FindingDifference(id, one, other)


def _loud(facts: Facts) -> dict[str, Finding]:
    return {finding.id: finding for finding in diagnose(facts).findings if finding.status in LOUD}
