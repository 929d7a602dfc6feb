"""JSON and TOML that somebody else wrote, looked over before a parser sees them.

A parser's time and memory grow with how deep a document is and how many parts its keys have, faster than with its
size; and at Python's own limit of nesting what else runs in the process fails too.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Dict

from gpuctl.bounds import amount
from gpuctl.regex import regex

JSON_DEPTH, TOML_DEPTH = 100, 50
"""Levels, of which a dotted key makes as many as it has parts. containerd's deepest has seven."""
PARTS_LIMIT = 250_000
"""Members and keys, of which each takes a hundred bytes of memory and more."""
SIZE_LIMIT = 512 << 10
"""Bytes of a configuration in TOML, which Python reads at less than a megabyte a second."""
_SIGN = regex(r"""\"{3}|'{3}|[]["'\#{}.=,\n]""")
_ENDS = {
    '"': regex(r'\\.|["\n]', re.DOTALL),
    "'": regex(r"['\n]"),
    '"""': regex(r'\\.|"""', re.DOTALL),
    "'''": regex(r"'''"),
    "#": regex(r"\n"),
}
"""By what opens a string or a comment: an escape, or what closes it."""
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


class TooMuch(ValueError):
    """No parser is to see this document; the message says why."""


_PLAIN = json.JSONDecoder()


def load_json(text: str, decoder: json.JSONDecoder = _PLAIN) -> Any:
    """Returns what a JSON text says, by a decoder made once. Raises ValueError, TooMuch among them.

    {"Endpoints": {"docker": {"Host": "unix:///run/docker.sock"}}}
    """
    check(text, JSON_DEPTH)
    return decoder.decode(text)


def load_toml(text: str, limit: int = SIZE_LIMIT) -> Dict[str, Any]:
    """Returns what a TOML text says. Raises ValueError with line and column, TooMuch among them.

    version = 2
    [plugins."io.containerd.grpc.v1.cri".containerd]
      default_runtime_name = "runc"
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    if len(text) > limit:
        raise TooMuch("it is longer than %s" % amount(limit))
    check(text, TOML_DEPTH)
    return tomllib.loads(text)


def check(text: str, depth: int) -> None:
    """Raises TooMuch for a text of JSON or TOML that has more levels or parts than a parser is to see."""
    if text.count(",") + text.count("=") + text.count("\n[") > PARTS_LIMIT:
        raise TooMuch("it has more than %d parts" % PARTS_LIMIT)
    if text.count("[") + text.count("{") > depth or text.count(".") > depth:
        _check_depth(text, depth)


def _check_depth(text: str, depth: int) -> None:
    level = dots = at = 0
    wanted = _SIGN
    while True:
        found = wanted.search(text, at)
        if not found:
            return
        at, sign = found.end(), found[0]
        if wanted is not _SIGN:
            wanted = wanted if sign[0] == "\\" else _SIGN
        elif sign in _ENDS:
            wanted = _ENDS[sign]
        elif sign == ".":
            dots += 1
        else:  # a key ends, or a value
            dots, level = 0, level + _STEPS.get(sign, 0)
        if level + dots > depth:
            raise TooMuch("it is nested more than %d levels deep" % depth)
