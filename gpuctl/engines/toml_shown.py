"""A TOML file as it may be shown: without the strings that are secrets, by their keys or by their form."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff

import tomlkit
from tomlkit.container import Container
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, InlineTable, Item, Null, String, Table, Whitespace

from gpuctl.engines.merge import Keys
from gpuctl.engines.toml_text import NotAccepted, decoded
from gpuctl.host.redact import MASK, public_value, without_secrets

_ANYTHING = "x"
_MARKS = frozenset("\"'\\")
"""What a string in TOML cannot hold as it is."""


def diff(path: str, before: bytes | None, after: bytes | None) -> str:
    """Returns the unified diff of two contents as they may be shown; None stands for no file."""
    try:
        old, new = (shown(raw or b"").splitlines(keepends=True) for raw in (before, after))
    except NotAccepted as error:
        return f"(not shown: {path}: {error})\n"
    lines = unified_diff(old, new, "/dev/null" if before is None else path, "/dev/null" if after is None else path)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def shown(raw: bytes) -> str:
    """Returns the text without secrets, those in comments too. Raises NotAccepted."""
    try:
        document = tomlkit.parse(decoded(raw))
        for path, item in _walk(document, ()):
            _hide_comment(path, item)
            _hide(path, item)
        return document.as_string()
    except (TOMLKitError, RecursionError):
        raise NotAccepted("not valid TOML") from None


def _walk(container: Container, path: Keys) -> Iterator[tuple[Keys, Item]]:
    for key, item in container.body:
        here = (*path, *(part.key for part in key)) if key else path
        yield here, item
        if isinstance(item, Table | InlineTable):
            yield from _walk(item.value, here)
        elif isinstance(item, AoT):
            for table in item.body:
                yield here, table
                yield from _walk(table.value, here)


def _hide(path: Keys, item: Item) -> None:
    if isinstance(item, String):
        public = public_value(path, item.value)
        if public != item.value:
            item._original = public if public.isprintable() and not set(public) & _MARKS else MASK
    elif isinstance(item, Array):
        for entry in item._iter_items():  # its comments too
            _hide_comment(path, entry)
            _hide(path, entry)
    elif isinstance(item, InlineTable):
        for key, entry in item.value.body:
            _hide((*path, key.key) if key else path, entry)


def _hide_comment(path: Keys, item: Item) -> None:
    """What is said beside a secret may tell of it: such a comment goes as a whole."""
    if not isinstance(item, Whitespace | Null) and item.trivia.comment:
        beside = path and public_value(path, _ANYTHING) != _ANYTHING
        item.trivia.comment = f"# {MASK}" if beside else without_secrets(item.trivia.comment)
