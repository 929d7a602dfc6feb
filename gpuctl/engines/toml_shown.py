"""A TOML file as it may be shown: strings may be secrets, all but those of keys that are known to hold none."""

from __future__ import annotations

import re
from collections.abc import Callable

from gpuctl.engines.merge import Keys
from gpuctl.engines.spans import replaced
from gpuctl.engines.text_diff import text_diff
from gpuctl.engines.toml_places import Kind, Lost, places, walk
from gpuctl.engines.toml_text import NotAccepted, decoded, values

HIDDEN = '"…"'
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")


def diff(path: str, before: bytes | None, after: bytes | None, public: Callable[[Keys], bool]) -> str:
    """Returns the unified diff of two contents as they may be shown; None stands for no file.

    `public` says of a key, by the keys that lead to it, whether its strings are no secrets.
    """
    try:
        return text_diff(path, *(None if raw is None else shown(raw, public) for raw in (before, after)))
    except NotAccepted as error:
        return f"(not shown: {path}: {error})\n"


def shown(raw: bytes, public: Callable[[Keys], bool]) -> str:
    """Returns the text without the strings that may be secrets, those in comments too. Raises NotAccepted."""
    values(raw)
    text = decoded(raw)
    try:
        found = places(text)
    except Lost as lost:
        raise NotAccepted("not understood", text.count("\n", 0, lost.position) + 1) from None
    strings = [
        (entry.value.start, entry.value.end, HIDDEN)
        for _, _, keys, entry in walk(found)
        if entry.value.kind is Kind.STRING and not public(keys)
    ]
    comments = [(start, end, _QUOTED.sub(HIDDEN, text[start:end])) for start, end in found.comments]
    return replaced(text, [*strings, *comments])
