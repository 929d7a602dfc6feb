"""The families of failures that GPU containers show: by which core line each is known, why it is so, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from gpuctl.command import Command
from gpuctl.compat.knowledge.errors.codes import ErrorCode, codes
from gpuctl.compat.tables.command_rows import Words, parse_command, parse_commands
from gpuctl.compat.tables.loader import load
from gpuctl.frozen import dataclass
from gpuctl.model import Disturbs, Remedy

LAYERS = (
    "hardware",
    "kernel",
    "os",
    "wsl",
    "driver",
    "packages",
    "toolkit",
    "cdi",
    "mig",
    "docker",
    "compose",
    "podman",
    "containerd",
    "k8s",
    "image",
)
"""Where a failure is mended, causes before what rests on them."""


@dataclass(frozen=True)
class Family:
    """Failures with one cause.

    It is known by wordings without what engines wrap around them, its core lines; `*` stands for a few words, and
    `@cuda 999` for all by which an error with a number is told. `sure`: those that leave no other cause, for the
    reason that `excludes` gives. `cores`: those that may have another cause. `in_context`: those that speak for it only
    where a word of its `context` stands nearby. `signs`: those of its consequences, which any other line speaks louder
    than. `printed`: lines that programs print for it, among others; they have rows of their own. One that several
    families have is told apart by `checks`, the doctor's whose failure on this host decides for this family (where
    `check_says` is given, only with this word in the message), and by `context`, words that make it the likelier one
    when they stand nearby. `look` is the command that tells it from its look-alikes, as `tells_apart` says. `explains`:
    families that are its consequences. `reports`: in how many public threads it was found, 0: not counted. `harmless`:
    its lines tell of no failure, but of what a program has got over.
    """

    id: str
    title: str
    layer: str
    cause: str
    remedies: tuple[Remedy, ...]
    source: str
    reports: int = 0
    cores: tuple[str, ...] = ()
    sure: tuple[str, ...] = ()
    excludes: str | None = None
    in_context: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()
    printed: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    tells_apart: str | None = None
    look: Command | None = None
    checks: tuple[str, ...] = ()
    check_says: str = ""
    explains: tuple[str, ...] = ()
    see_also: tuple[str, ...] = ()
    harmless: bool = False

    @property
    def known_by(self) -> tuple[str, ...]:
        """All its core lines."""
        return (*self.sure, *self.cores, *self.in_context, *self.signs, *self.printed)


@dataclass(frozen=True)
class PrintedLine:
    """Core lines by the source that prints them, and the families they may be of, likeliest first; none is certain.

    `follows`: they are printed after other failures as well, whose lines speak louder.
    """

    lines: tuple[str, ...]
    families: tuple[str, ...]
    source: str
    follows: bool = False


@cache
def printed_lines() -> tuple[PrintedLine, ...]:
    """Returns the lines that programs print, by source."""
    return load("printed_lines", PrintedLine)


@cache
def families() -> dict[str, Family]:
    """Returns the families by id, layer by layer: those that are written down, and each error with a number beside."""
    told = {core for family in written().values() for core in family.known_by if core not in family.in_context}
    others = (_of_code(code) for code in codes().values() if f"@{code.key}" not in told)
    ordered = sorted((*written().values(), *others), key=lambda family: LAYERS.index(family.layer))
    return {family.id: family for family in ordered}


@cache
def written() -> dict[str, Family]:
    """Returns the families that have a row of their own, by id, layer by layer."""

    def make(remedies: tuple[dict[str, Any], ...], look: Words | None = None, **row: Any) -> Family:
        told = parse_command(look) if look else None
        printed = _printed_of(row["id"])
        return Family(remedies=tuple(_remedy(**one) for one in remedies), look=told, printed=printed, **row)

    return {row.id: row for row in load("failures", make)}


def _printed_of(id: str) -> tuple[str, ...]:
    return tuple(line for one in printed_lines() if id in one.families for line in one.lines)


def _of_code(code: ErrorCode) -> Family:
    id, line = code.key.replace(" ", "-"), (f"@{code.key}",)
    return Family(
        id=id,
        title=code.title,
        layer=code.layer,
        cause=code.cause,
        remedies=(code.remedy,),
        source=code.source,
        cores=() if code.beside else line,
        signs=line if code.beside else (),
        printed=_printed_of(id),
    )


def _remedy(text: str, commands: Sequence[Words] = (), disturbs: str = Disturbs.NOTHING) -> Remedy:
    return Remedy(text, parse_commands(commands), Disturbs(disturbs))
