"""The lines of a requirements file, as pip reads them: continued, commented, with options."""

from __future__ import annotations

import optparse
import re
import shlex
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NoReturn

from gpuctl.frozen import dataclass

_COMMENT = re.compile(r"(?:^|(?<=\s))#")
_LONGEST = 1 << 14
"""Characters of a line's options. Python takes them apart in time that grows with the square of their length."""
_TAKES_A_VALUE = (
    ("-i", "--index-url", "--pypi-url"),
    ("--extra-index-url",),
    ("-f", "--find-links"),
    ("-r", "--requirement"),
    ("-c", "--constraint"),
    ("-e", "--editable"),
    ("-C", "--config-setting", "--config-settings"),
    ("--hash",),
    ("--global-option",),
    ("--no-binary",),
    ("--only-binary",),
    ("--trusted-host",),
    ("--use-feature",),
    ("--all-releases",),
    ("--only-final",),
    ("--uploaded-prior-to",),
)
_STANDS_ALONE = ("--no-index", "--pre", "--prefer-binary", "--require-hashes")


@dataclass(frozen=True)
class RequirementLine:
    """A line: what it requires ("" where it has options only), the indexes that it names, and where it is."""

    requirement: str
    indexes: tuple[str, ...]
    where: str


def requirement_lines(text: str, name: str) -> Iterator[RequirementLine]:
    """Yields the lines of a file that say something.

    Raises ValueError, with the line, for options that pip does not take and for one that includes another file.
    """
    parsed = lru_cache(64)(_Options().parsed)  # most lines have the options of others, or none
    for number, line in _logical_lines(text):
        where = f"{name} line {number}"
        words = line.split(" ")
        first = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
        # Hashes are most of a locked file, and need no shell's quoting undone.
        try:
            options = parsed(" ".join(word for word in words[first:] if not word.startswith("--hash=")))
        except ValueError:
            raise ValueError(f"{where} has an option that pip does not take in a requirements file") from None
        if options.requirement or options.constraint:
            raise ValueError(f"{where} includes another file, which is not followed: give what pip freeze prints")
        named = (options.index_url, options.extra_index_url, options.find_links)
        required = " ".join(words[:first]).strip() or (options.editable or [""])[0]
        yield RequirementLine(required, tuple(index for each in named for index in each or ()), where)


class _Options(optparse.OptionParser):
    """The options inside a requirements file; pip too reads them with optparse."""

    def __init__(self) -> None:
        super().__init__(add_help_option=False)
        for names in _TAKES_A_VALUE:
            self.add_option(*names, action="append")
        for name in _STANDS_ALONE:
            self.add_option(name, action="store_true")

    def parsed(self, written: str) -> Any:
        """Returns the options by name. Raises ValueError for others."""
        if len(written) > _LONGEST:
            raise ValueError("more options than a line has")
        return self.parse_args(shlex.split(written), self.get_default_values())[0]

    def error(self, msg: str) -> NoReturn:
        raise ValueError(msg)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yields lines without comments, continued ones joined, each with the number of its first line."""
    first, held = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            held += line.strip("\\")
            continue
        yield from _said(first, held if comment else held + line)
        first, held = 0, ""
    yield from _said(first, held)


def _said(number: int, line: str) -> Iterator[tuple[int, str]]:
    comment = _COMMENT.search(line)
    said = (line[: comment.start()] if comment else line).strip()
    if said:
        yield number, said
