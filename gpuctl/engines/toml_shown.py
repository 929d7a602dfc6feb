"""A TOML file as it may be shown: strings may be secrets, all but those of keys that are known to hold none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import unified_diff

import tomlkit
from tomlkit.container import Container
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, InlineTable, Item, Null, String, Table, Whitespace

from gpuctl.engines.merge import Keys
from gpuctl.engines.toml_text import NotAccepted, decoded

HIDDEN = "…"
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")


def diff(path: str, before: bytes | None, after: bytes | None, public: Callable[[Keys], bool]) -> str:
    """Returns the unified diff of two contents as they may be shown; None stands for no file.

    `public` says of a key, by the keys that lead to it, whether its strings are no secrets.
    """
    try:
        old, new = (shown(raw or b"", public).splitlines(keepends=True) for raw in (before, after))
    except NotAccepted as error:
        return f"(not shown: {path}: {error})\n"
    lines = unified_diff(old, new, "/dev/null" if before is None else path, "/dev/null" if after is None else path)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def shown(raw: bytes, public: Callable[[Keys], bool]) -> str:
    """Returns the text without the strings that may be secrets, those in comments too. Raises NotAccepted."""
    try:
        document = tomlkit.parse(decoded(raw))
        for path, item in _walk(document, ()):
            _hide_comment(item)
            if path and not public(path):
                _hide(item)
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


def _hide(item: Item) -> None:
    if isinstance(item, String):
        item._original = HIDDEN  # what it prints between its quotation marks
    elif isinstance(item, Array):
        for entry in item._iter_items():  # its comments too
            _hide_comment(entry)
            _hide(entry)
    elif isinstance(item, InlineTable):
        for _, entry in item.value.body:
            _hide(entry)


def _hide_comment(item: Item) -> None:
    if not isinstance(item, Whitespace | Null):
        item.trivia.comment = _QUOTED.sub(f'"{HIDDEN}"', item.trivia.comment)
