"""A TOML file as it may be shown: without its secrets."""

from __future__ import annotations

from gpuctl.documents import load_toml
from gpuctl.engines.merge import Keys
from gpuctl.engines.spans import Span, replaced
from gpuctl.engines.text_diff import text_diff
from gpuctl.engines.toml.places import Lost, TomlKind, places, walk
from gpuctl.engines.toml.spelling import spelled
from gpuctl.engines.toml.text import NotAccepted, decoded, values
from gpuctl.host.record.redact import MASK, public_value, without_secrets


def diff(path: str, before: bytes | None, after: bytes | None) -> str:
    """Returns the unified diff of two contents as they may be shown; None stands for no file."""
    try:
        return text_diff(path, *(None if raw is None else shown(raw) for raw in (before, after)))
    except NotAccepted as error:
        return f"(not shown: {path}: {error})\n"


def shown(raw: bytes) -> str:
    """Returns the text without secrets, those in comments too. Raises NotAccepted."""
    values(raw)
    text = decoded(raw)
    try:
        found = places(text)
    except Lost as lost:
        raise NotAccepted("not understood", text.count("\n", 0, lost.position) + 1) from None
    hidden = [
        span
        for _, _, keys, entry in walk(found)
        if entry.value.kind is TomlKind.STRING
        for span in _hidden(text, keys, entry.value.start, entry.value.end)
    ]
    beside = {_line(text, end) for _, end, _ in hidden}
    comments = [
        (start, end, f"# {MASK}" if _line(text, start) in beside else without_secrets(text[start:end]))
        for start, end in found.comments
    ]
    return replaced(text, [*hidden, *comments])


def _hidden(text: str, keys: Keys, start: int, end: int) -> list[Span]:
    """What stands in the place of a string that holds a secret."""
    value = load_toml("string = " + text[start:end])["string"]
    public = public_value(keys, value)
    return [] if public == value else [(start, end, spelled(public))]


def _line(text: str, position: int) -> int:
    """The line's beginning: what is said beside a secret may tell of it."""
    return text.rfind("\n", 0, position)
