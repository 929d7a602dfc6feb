"""What a run begins to do, as a line of its journal says it: one type for each kind.

{"begins": 0, "kind": "engine", "engine": "docker"}
{"begins": 1, "kind": "write", "engine": "docker", "path": "/etc/docker/daemon.json", "before": "…", "after": "…", …}
{"begins": 2, "kind": "restart", "engine": "docker"}
{"begins": 0, "kind": "packages", "manager": "apt", "before": {"nvidia-container-toolkit": null}}
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Optional, Tuple, TypeVar, Union

from gpuctl.frozen import dataclass
from gpuctl.host.decode import number_in, object_in, text_in
from gpuctl.host.write.replacement import Replacement

T = TypeVar("T")
WRITE, ENGINE, RESTART, PACKAGES = "write", "engine", "restart", "packages"
Setting = Tuple[Tuple[str, ...], Any]
"""The keys that lead to a value, and the value."""


@dataclass(frozen=True)
class FileWrite:
    """A file is replaced for an engine, or for the packages. `sets` is what gpuctl sets in one that is others' as well.

    `sets` is None for a file that is gpuctl's as a whole.
    """

    engine: str
    replacement: Replacement
    sets: Optional[Tuple[Setting, ...]] = None


@dataclass(frozen=True)
class TakeUp:
    """An engine's daemon is to take its files up."""

    engine: str


@dataclass(frozen=True)
class Restart:
    """An engine's daemon is restarted."""

    engine: str


@dataclass(frozen=True)
class Installation:
    """Packages are brought in by a manager. `before` has their versions as they were, by name.

    None: it was not there; "": only its configuration was left.
    """

    manager: str
    before: Mapping[str, Optional[str]]


JournalEntry = Union[FileWrite, TakeUp, Restart, Installation]


def parse_entry(line: Mapping[str, Any]) -> JournalEntry:
    """Returns what a line says was begun. Raises ValueError for a kind that is not known, or without what it needs."""
    try:
        _needed(number_in(line, "begins"))
        return _KINDS[_needed(text_in(line, "kind"))](line)
    except (KeyError, ValueError):
        raise ValueError("it began something that this gpuctl does not know (%.40r)" % line.get("kind")) from None


def line_of(number: int, entry: JournalEntry) -> Dict[str, Any]:
    """Returns the line that says what is begun: the `number`th thing of its run, from 0."""
    if isinstance(entry, FileWrite):
        about = {"kind": WRITE, "engine": entry.engine, **vars(entry.replacement), "sets": entry.sets}
    elif isinstance(entry, TakeUp):
        about = {"kind": ENGINE, "engine": entry.engine}
    elif isinstance(entry, Restart):
        about = {"kind": RESTART, "engine": entry.engine}
    else:
        about = {"kind": PACKAGES, "manager": entry.manager, "before": dict(entry.before)}
    return {"begins": number, **about}


def _write(line: Mapping[str, Any]) -> FileWrite:
    path, kept, engine = (_needed(text_in(line, name)) for name in ("path", "kept", "engine"))
    if not {"before", "after"} <= line.keys():
        raise ValueError("it does not say what the file was, and what it became")
    return FileWrite(engine, Replacement(path, text_in(line, "before"), text_in(line, "after"), kept), _sets(line))


def _sets(line: Mapping[str, Any]) -> Optional[Tuple[Setting, ...]]:
    pairs = line.get("sets")
    if pairs is None:
        return None
    if not isinstance(pairs, list) or not all(map(_is_setting, pairs)):
        raise ValueError("what it sets is not understood")
    return tuple((tuple(keys), value) for keys, value in pairs)


def _is_setting(value: Any) -> bool:
    pair = isinstance(value, list) and len(value) == 2 and isinstance(value[0], list)
    return pair and all(isinstance(key, str) for key in value[0])


def _installation(line: Mapping[str, Any]) -> Installation:
    _needed(line.get("before"))
    before = object_in(line, "before")
    return Installation(_needed(text_in(line, "manager")), {name: text_in(before, name) for name in before})


def _engine(line: Mapping[str, Any]) -> str:
    return text_in(line, "engine") or ""


def _needed(value: Optional[T]) -> T:
    if value is None:
        raise ValueError("something is missing")
    return value


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], JournalEntry]] = {
    WRITE: _write,
    ENGINE: lambda line: TakeUp(_engine(line)),
    RESTART: lambda line: Restart(_engine(line)),
    PACKAGES: _installation,
}
