"""What others have written, as values of the types that are asked for.

A member that is not there, or null, is None or empty. Every function raises ValueError where it finds another type:
the message names the member and what it is. Numbers are whole, and fit 64 bits: JSON itself sets them no bound.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple, Type, TypeVar, Union

from gpuctl.documents import TooMuch, load_json
from gpuctl.regex import regex

T = TypeVar("T")

LAST_SECOND = 253_370_764_800
"""The end of the year 9998, in seconds since the epoch: in the next one calendars end."""
_MOST = 1 << 64
_WHOLE = regex(r"[0-9]{1,15}")
_DOTTED = regex(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,9}")
_ISO = regex(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(?:Z|(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d))"
)
_KINDS: Mapping[type, str] = {str: "text", int: "whole number", bool: "truth value", list: "list", dict: "JSON object"}
_FOUND: Mapping[type, str] = {
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "a truth value",
    list: "a list",
    dict: "an object",
}


def _refuse(constant: str) -> None:
    raise ValueError("%s is not JSON" % constant)


_STRICT = json.JSONDecoder(parse_constant=_refuse)


def parse(text: Union[str, bytes]) -> Any:
    """Returns what a JSON text says. Half of a surrogate pair, which JSON can hold and no output can, becomes "?".

    {"Version": "20.10.24+dfsg1", "ApiVersion": "1.41"}
    """
    try:
        written = text if isinstance(text, str) else text.decode()
        value = load_json(written, _STRICT)
        if "\\ud" in written.lower():
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
        return value
    except TooMuch:
        raise
    except ValueError:
        raise ValueError("it is not JSON") from None


def parse_object(text: Union[str, bytes]) -> Dict[str, Any]:
    """Returns the JSON object that a text is."""
    return _typed("it", parse(text), dict)


def parse_objects(text: Union[str, bytes]) -> Tuple[Dict[str, Any], ...]:
    """Returns the list of JSON objects that a text is."""
    return _objects("its member ", _typed("it", parse(text), list))


def text_in(found: Mapping[str, Any], name: str) -> Optional[str]:
    """Returns a member that is a text."""
    return _member(found, name, str)


def number_in(found: Mapping[str, Any], name: str, most: int = _MOST) -> Optional[int]:
    """Returns a member that is a whole number from 0 to below `most`."""
    value = _member(found, name, int)
    if value is not None and not 0 <= value < most:
        raise ValueError("its %.80s is out of range" % name)
    return value


def moment_in(found: Mapping[str, Any], name: str) -> float:
    """Returns a member that is a time, in seconds since the epoch. Raises ValueError for anything else."""
    at = found.get(name)
    if isinstance(at, bool) or not isinstance(at, (int, float)) or not 0 <= at < LAST_SECOND:
        raise ValueError("its `%s` is no time" % name)
    return float(at)


def flag_in(found: Mapping[str, Any], name: str) -> Optional[bool]:
    """Returns a member that is true or false."""
    return _member(found, name, bool)


def object_in(found: Mapping[str, Any], name: str) -> Dict[str, Any]:
    """Returns a member that is an object."""
    return _member(found, name, dict) or {}


def texts_in(found: Mapping[str, Any], name: str) -> Tuple[str, ...]:
    """Returns a member that is a list of texts."""
    members = enumerate(_member(found, name, list) or ())
    return tuple(_typed("its %s[%d]" % (name, place), one, str) for place, one in members)


def objects_in(found: Mapping[str, Any], name: str) -> Tuple[Dict[str, Any], ...]:
    """Returns a member that is a list of objects."""
    members = _member(found, name, list)
    return _objects("its " + name, members) if members else ()


def whole(text: str) -> int:
    """Returns the whole number that a text is in decimal digits.

    812
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError("%.20r is no whole number" % text)
    return int(text)


def dotted(text: str) -> str:
    """Returns a version, which is numbers with dots between them.

    535.161.08
    """
    if not _DOTTED.fullmatch(text):
        raise ValueError("%.40r is no version" % text)
    return text


def moment(text: str) -> float:
    """Returns the time that a text is, in seconds since the epoch.

    1764000000.132
    """
    seconds = float(text)
    if not 0 <= seconds < LAST_SECOND:
        raise ValueError("%.20r is no time" % text)
    return seconds


def second(text: str) -> float:
    """Returns the second that a text begins with as ISO 8601 has it, since the epoch. Raises ValueError.

    2026-11-25T10:00:01.123456789Z
    2026-11-25T11:00:01+0100
    """
    found = _ISO.match(text)
    if not found:
        raise ValueError("%.40r is no time" % text)
    # Not by strptime: a cluster's lists hold a hundred thousand of them, and it takes ten times as long.
    year, month, day, hour, minute, seconds = map(int, found.groups()[:6])
    ahead = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    zone = timezone(-ahead if found["sign"] == "-" else ahead)
    return datetime(year, month, day, hour, minute, seconds, tzinfo=zone).timestamp()


def _member(found: Mapping[str, Any], name: str, kind: Type[T]) -> Optional[T]:
    value = found.get(name)
    return value if value is None or type(value) is kind else _typed("its " + name, value, kind)


def _objects(name: str, values: Iterable[Any]) -> Tuple[Dict[str, Any], ...]:
    if all(type(one) is dict for one in values):  # a cluster's lists hold millions
        return tuple(values)
    return tuple(_typed("%s[%d]" % (name, place), one, dict) for place, one in enumerate(values))


def _typed(name: str, value: Any, kind: Type[T]) -> T:
    """The value; to Python, a truth value is a number as well."""
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise ValueError("%.80s is no %s but %s" % (name, _KINDS[kind], _FOUND.get(type(value), "null")))
