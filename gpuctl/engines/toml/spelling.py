"""Values as TOML text (https://toml.io/en/v1.0.0)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import date, time
from typing import Any

from gpuctl.engines.merge import REMOVED, Keys

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_DELETE = "\x7f"
"""The one character that a JSON string may hold and TOML's may not."""
_LONG = 1 << 64
"""Python writes no number of thousands of digits, which TOML can hold in hexadecimal ones only."""


def spelled(value: Any) -> str:
    """Returns a value on one line. Raises ValueError for what TOML has no word for."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{dotted((key,))} = {spelled(entry)}" for key, entry in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(spelled, value))}]"
    return _scalar(value)


def told(value: Any) -> str:
    """Returns a value as a message names it."""
    return repr(value) if isinstance(value, str) else "not set" if value is REMOVED else spelled(value)


def dotted(keys: Keys) -> str:
    """Returns keys as they stand before an equals sign or in a header."""
    return ".".join(key if _BARE.fullmatch(key) else _string(key) for key in keys)


def table(path: Keys, values: Mapping[str, Any]) -> Iterator[str]:
    """Yields the lines of a table under a header, with the tables in it below."""
    below = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    if len(below) < len(values) or not values:
        yield f"[{dotted(path)}]"
    yield from (f"{dotted((key,))} = {spelled(values[key])}" for key in values if key not in below)
    for number, (key, value) in enumerate(below.items()):
        if number or len(below) < len(values):
            yield ""
        yield from table((*path, key), value)


def leaves(path: Keys, value: Any) -> Iterator[tuple[Keys, Any]]:
    """Yields the values in tables, with the keys that lead to them; an empty table is one."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves((*path, key), inner)
    else:
        yield path, value


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, int):
        return str(value) if value < _LONG else f"{value:#x}"
    raise ValueError(f"{type(value).__name__} is no type of TOML's")


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace(_DELETE, "\\u007f")
