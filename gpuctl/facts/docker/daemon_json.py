"""Docker's daemon.json as far as a diagnosis needs it, read as dockerd reads it, with places for what is wrong."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, Optional, Tuple

from gpuctl.documents import JSON_DEPTH, TooMuch, check
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

_BLANK = regex(r"[ \t\r\n]*")
_KINDS: Mapping[str, Any] = {
    "null": type(None),
    "boolean": bool,  # before number: Python counts it as one
    "number": (int, float),
    "string": str,
    "array": list,
    "object": dict,
}


@dataclass(frozen=True)
class ConfigFile:
    """daemon.json as far as a diagnosis needs it: names and runtimes, never the values of other keys (secrets)."""

    path: str
    kinds: Mapping[str, str]
    """Of value, by key: string, array, object, boolean, number or null."""
    runtimes: Mapping[str, Optional[str]]
    default_runtime: Optional[str]
    error: Optional[str] = None
    """Why it is no valid daemon.json, with line and column."""
    duplicates: Tuple[str, ...] = ()
    """Keys that are there twice, at any depth: dockerd accepts that, and people read the wrong one."""

    @property
    def keys(self) -> FrozenSet[str]:
        """The keys at the top."""
        return frozenset(self.kinds)


class _Invalid(Exception):
    """What is wrong, and the offset in the text."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason)
        self.offset = offset


def parse_config(path: str, text: str) -> ConfigFile:
    """Returns what the file says. An empty, blank or `null` file says nothing; that and a BOM are right for dockerd.

    {"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}}, "default-runtime": "nvidia"}
    """
    text = text[1:] if text.startswith("\ufeff") else text
    duplicates: List[str] = []
    try:
        settings = _settings(text, duplicates)
        runtimes = _runtimes(text, settings)
        default = settings.get("default-runtime")
        if not isinstance(default, (str, type(None))):
            raise _Invalid("default-runtime is not a string", _offset(text, "default-runtime"))
    except _Invalid as error:
        return ConfigFile(path, {}, {}, None, "%s (%s)" % (error, _place(text, error.offset)))
    kinds = {_printable(key): _kind(value) for key, value in settings.items()}
    return ConfigFile(path, kinds, runtimes, _printable(default) if default else None, None, tuple(duplicates))


def _kind(value: Any) -> str:
    return next(name for name, kind in _KINDS.items() if isinstance(value, kind))


def _settings(text: str, duplicates: List[str]) -> Dict[str, Any]:
    start = _skip(text, 0)
    if start == len(text):
        return {}
    try:
        check(text, JSON_DEPTH)
        value, end = _decoder(duplicates).raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise _Invalid(error.msg, error.pos) from None
    except TooMuch as error:
        raise _Invalid(str(error), start) from None
    except ValueError as error:  # NaN, which only Python takes
        raise _Invalid(str(error), start) from None
    if _skip(text, end) < len(text):
        raise _Invalid("there is more behind the JSON value", _skip(text, end))
    if not isinstance(value, (dict, type(None))):
        raise _Invalid("it is not a JSON object", start)
    return value or {}


def _decoder(duplicates: List[str]) -> json.JSONDecoder:
    def note(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
        names = Counter(name for name, _ in pairs)
        duplicates.extend(_printable(name) for name, times in names.items() if times > 1)
        return dict(pairs)

    def refuse(constant: str) -> None:
        raise ValueError("%s is not JSON" % constant)

    # Numbers are not looked at, and Python balks at very long ones.
    return json.JSONDecoder(object_pairs_hook=note, parse_constant=refuse, parse_int=lambda digits: 0)


def _runtimes(text: str, settings: Mapping[str, Any]) -> Mapping[str, Optional[str]]:
    runtimes = settings.get("runtimes")
    if runtimes is None:
        return {}
    if not isinstance(runtimes, dict):
        raise _Invalid("runtimes is not an object", _offset(text, "runtimes"))
    for name, runtime in runtimes.items():
        if not isinstance(runtime, dict):
            raise _Invalid("the runtime %s is not an object" % _printable(name), _offset(text, "runtimes", name))
        if not isinstance(runtime.get("path", ""), str):
            reason = "the path of the runtime %s is not a string" % _printable(name)
            raise _Invalid(reason, _offset(text, "runtimes", name, "path"))
    return {_printable(name): _printable(runtime.get("path", "")) or None for name, runtime in runtimes.items()}


def _offset(text: str, *keys: str) -> int:
    """Where the value of a key is (the last, where it is there twice); the keys lead down through objects."""
    at = _skip(text, 0)
    for key in keys:
        at = [value_at for name, value_at in _members(text, at) if name == key][-1]
    return at


def _members(text: str, start: int) -> Iterator[Tuple[str, int]]:
    """The names of a valid object that starts here, each with where its value starts."""
    decoder = _decoder([])
    at = _skip(text, start + 1)
    while text[at] != "}":
        name, end = decoder.raw_decode(text, at)
        value_at = _skip(text, _skip(text, end) + 1)
        yield name, value_at
        at = _skip(text, decoder.raw_decode(text, value_at)[1])
        at = _skip(text, at + 1) if text[at] == "," else at


def _skip(text: str, start: int) -> int:
    blank = _BLANK.match(text, start)
    return blank.end() if blank else start


def _place(text: str, offset: int) -> str:
    before = text[:offset]
    return "line %d, column %d" % (before.count("\n") + 1, offset - before.rfind("\n"))


def _printable(text: str) -> str:
    """Half of a surrogate pair may be written in JSON and cannot be printed: dockerd too replaces it."""
    return text.encode("utf-8", "replace").decode("utf-8")
