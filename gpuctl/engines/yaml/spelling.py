"""How values are written in YAML: in lines of their own (block style), or on one line (flow style)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from gpuctl.frozen import dataclass

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_NOT_TEXT = re.compile(r"true|false|yes|no|on|off|null|y|n", re.IGNORECASE)
"""What readers of YAML 1.1 or 1.2 take for something else than text (https://yaml.org/type/bool.html)."""


@dataclass(frozen=True)
class Tagged:
    """A value with a tag of its own, such as Compose's `!override`."""

    tag: str
    value: Any


class Quoted(str):
    """A text that is written in quotes, as what it takes the place of was."""

    __slots__ = ()


@dataclass(frozen=True)
class Style:
    """`step` is one level's indentation, `dash` that of a list's dashes below their key; `quoted`: as JSON has it."""

    newline: str
    step: int = 2
    dash: int = 2
    quoted: bool = False


def scalar(value: Any, style: Style) -> str:
    """Returns a text, number, boolean or null as YAML; a text that could be taken for anything else in quotes."""
    may_be_plain = isinstance(value, str) and not (style.quoted or isinstance(value, Quoted))
    if may_be_plain and _PLAIN.fullmatch(value) and not _NOT_TEXT.fullmatch(value):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def inline(value: Any, style: Style) -> str:
    """Returns a value on one line."""
    if isinstance(value, Tagged):
        return f"{value.tag} {inline(value.value, style)}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key, style)}: {inline(each, style)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(inline(each, style) for each in value) + "]"
    return scalar(value, style)


def member(key: str, value: Any, column: int, style: Style) -> str:
    """Returns a key with its value for a block mapping; all lines but the first are indented for that column."""
    tag, value = (f" {value.tag}", value.value) if isinstance(value, Tagged) else ("", value)
    head = f"{scalar(key, style)}:{tag}"
    if not _has_lines(value):
        return f"{head} {inline(value, style)}"
    inner = column + (style.step if isinstance(value, Mapping) else style.dash)
    lead = style.newline + " " * inner
    return head + lead + lead.join(_entries(value, inner, style))


def item(value: Any, column: int, style: Style) -> str:
    """Returns an item with its dash for a block sequence; all lines but the first are indented for that column."""
    if not isinstance(value, Mapping) or not value:
        return f"- {inline(value, style)}"
    lead = style.newline + " " * (column + 2)
    return "- " + lead.join(_entries(value, column + 2, style))


def _entries(value: Any, column: int, style: Style) -> list[str]:
    if isinstance(value, Mapping):
        return [member(key, each, column, style) for key, each in value.items()]
    return [item(each, column, style) for each in value]


def _has_lines(value: Any) -> bool:
    """Whether a value is written in lines of its own: a list of scalars is short enough for one."""
    if isinstance(value, Mapping):
        return bool(value)
    return isinstance(value, (list, tuple)) and any(isinstance(each, Mapping) for each in value)
