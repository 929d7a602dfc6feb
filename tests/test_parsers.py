"""No text takes a parser more time or memory than its size is worth: what it costs grows as the text does.

Every public function of the rooms below that takes nothing but text is found here by being there. Each is given texts
of up to a megabyte in a process that may use as much processor time as so many walks over a megabyte's letters cost on
this machine: what grows with the square takes a thousand times as much. Where two small parts of the text tell by how
they differ what all of it costs, larger ones are not read.
"""

from __future__ import annotations

import gc
import inspect
import math
import os
import pkgutil
import re
import resource
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SIZE = 1_000_000
WALKS = 180
"""What a parser may cost: 8 s where a walk over the letters of a megabyte takes 44 ms."""
MEMORY = 768 << 20
"""Bytes for a megabyte of text."""
BESIDES = 4 << 20
"""Bytes, besides what the process has that has parsed something, for what an allocator takes more than it is asked."""
TICK = 1e-5
"""Seconds, below which what a part costs tells nothing of how the cost grows."""
CURVED = 4.5
"""How many times what a fourth of it costs a very small part costs, where a larger one is to tell how that goes on."""
MARGIN = 1.5
"""What may be wrong with a cost that is told by that of a part."""
ROOMS = ("facts", "compat", "diagnose", "engines", "images", "migrate", "dockerfile", "k8s")
TEXT = ("str", "bytes", "bytes | str", "str | bytes")
TAKE_NO_TEXT = {"parse_address", "parse_command", "parse_commands", "parse_daemon", "parse_entry", "parse_flavour"}
TAKE_NO_TEXT |= {"parse_cdi", "parse_kind", "parse_run", "parse_service"}
"""What is called parse_… and takes values that another parser has made of a text."""
TAKE_A_FOLDER = {"read_application"}
"""What takes the path of a folder, which it would look through: this machine's own."""
BESIDE = {
    "read_pins": ("requirements.txt", "uv.lock"),
    "requirements_asks": ("requirements.txt", "uv.lock"),
    "parse_version": ("nvidia-ctk",),
}
"""What goes with the text where it is not all that a function takes, and matters."""
LETTERS = {
    "one letter": "a",
    "blanks": " ",
    "newlines": "\n",
    "digits": "9",
    "brackets": "[",
    "braces": "{",
    "dotted keys": "a.",
    "quoted keys": '"a".',
    "quotes": '"',
    "single quotes": "'",
    "slashes": "/",
    "backslashes": "\\",
    "assignments": "key=",
    "lines of assignments": "a=1\n",
    "dashes": "-",
    "items": "- \n",
    "colons": "a:\n",
    "commas": "a, ",
    "carriage returns": "\r",
    "NULs": "\0",
    "beyond ASCII": "é\u2028",
    "versions": "1.",
    "comments": "# ",
    "escapes": "\x1b[0;",
}


def parsers() -> Iterator[tuple[str, Callable[..., Any], int, str]]:
    """A name for it, the function, the place of the text among what it takes, and what is in the other places."""
    for room in ROOMS:
        package = import_module(f"gpuctl.{room}")
        for found in pkgutil.walk_packages(package.__path__, f"gpuctl.{room}."):
            for name, function in vars(import_module(found.name)).items():
                own = inspect.unwrap(function) if callable(function) else None
                if inspect.isfunction(own) and own.__module__ == found.name and not name.startswith("_"):
                    yield from ways(f"{found.name}.{name}", function)


def ways(name: str, function: Callable[..., Any]) -> Iterator[tuple[str, Callable[..., Any], int, str]]:
    short = name.rpartition(".")[2]
    taken = [one for one in inspect.signature(function).parameters.values() if one.default is one.empty]
    texts = [one.annotation in TEXT for one in taken]
    if short.startswith("parse_") and not all(texts):
        assert short in TAKE_NO_TEXT, f"{name} takes more than text: have it take text, or say so in TAKE_NO_TEXT"
        return
    for place in range(len(taken)) if all(texts) and short not in TAKE_A_FOLDER else ():
        for beside in BESIDE.get(short, ("x",)) if len(taken) > 1 else ("",):
            yield f"{name}-{taken[place].name}{'-' * bool(beside)}{beside}", function, place, beside


def over_and_over(piece: str) -> Callable[[int], str]:
    """What makes a text of a size of one piece."""
    return lambda size: (piece * (size // len(piece) + 1))[:size]


def stretched(line: str, gap: re.Match[str]) -> Callable[[int], str]:
    """What makes a text of a size of a gap in a line, whose end never comes."""
    return lambda size: line[: gap.start()] + gap[0][0] * size + "\1"


def samples(function: Callable[..., Any]) -> Iterator[tuple[str, Callable[[int], str]]]:
    """Texts that nearly are what a parser is for: the lines of the sample in its docstring, over and over, broken."""
    sample = (inspect.getdoc(function) or "").partition("\n\n")[2]
    for number, line in enumerate([line for line in sample.splitlines() if line.strip()][:2], 1):
        line = line.replace("\\t", "\t").replace("<TAB>", "\t")
        yield f"line {number}", over_and_over(line + "\n")
        yield f"line {number} without its end", over_and_over(line[:-1] + "\n")
        yield f"line {number} without line feeds", over_and_over(line)
        yield f"half of line {number}", over_and_over(line[: len(line) // 2])
        for gap in list(re.finditer(r"\s+|\d+", line))[:6]:
            yield f"line {number} stretched at {gap.start()}", stretched(line, gap)


def fed(function: Callable[..., Any], place: int, beside: str, text: str) -> None:
    taken = [one for one in inspect.signature(function).parameters.values() if one.default is one.empty]
    given = [text if number == place else beside for number in range(len(taken))]
    given = [one.encode() if kind.annotation == "bytes" else one for one, kind in zip(given, taken, strict=True)]
    try:
        answer = function(*given)
        if isinstance(answer, Iterator):
            deque(answer, maxlen=0)
    except MemoryError:
        raise
    except Exception:
        pass


@cache
def a_walk() -> float:
    """The seconds of processor time that one walk over a text's letters costs."""

    def took() -> float:
        began = time.process_time()
        seen: dict[str, int] = {}
        for letter in "key=[1]\n" * (SIZE // 8):
            seen[letter] = seen.get(letter, 0) + 1
        return time.process_time() - began

    return min(took() for _ in range(3))


def in_a_child(function: Callable[..., Any], place: int, beside: str, said: int) -> None:
    """Says which text comes next, and ends with 0 where all came to an end."""
    gc.freeze()  # what pytest holds is not the parser's to be looked through
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    allowed = WALKS * a_walk()

    def cost(text: str, share: int) -> float:
        """The seconds that a share of a megabyte takes; ends this process where they are too many, or the memory is."""
        resource.setrlimit(resource.RLIMIT_DATA, (held + MEMORY // share + BESIDES, resource.RLIM_INFINITY))
        began = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(began + allowed) + 1, resource.RLIM_INFINITY))
        fed(function, place, beside, text)
        return time.process_time() - began

    fed(function, place, beside, "x")  # what it loads at first is not the text's cost
    held = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    letters = ((name, over_and_over(piece)) for name, piece in LETTERS.items())
    for name, text in (*letters, *samples(function)):
        os.write(said, f"{name}\n".encode())
        parts = [cost(text(SIZE // share), share) for share in (256, 64)]
        for share in (16, 4, 1):
            smaller, larger = parts[-2:]
            tells = share < 16 or larger < CURVED * max(smaller, TICK)
            if tells and of_the_whole(smaller, larger, share * 4) * MARGIN < allowed:
                break
            parts.append(cost(text(SIZE // share), share))


def of_the_whole(smaller: float, larger: float, share: int) -> float:
    """What a text costs of which that share costs the larger, and a fourth of it the smaller: so it grew, and will.

    Where the small parts' cost is for the most part each letter's own, what grows with the square is hidden in it, and
    overtakes it later: it is told apart, and the greater of both counts.
    """
    grew = max(4.0, larger / max(smaller, TICK))
    square = max(0.0, larger - 4 * smaller) * 4 / 3
    return max(larger * grew ** math.log(share, 4), (larger - square) * share + square * share**2)


FOUND = {name: rest for name, *rest in parsers()}


@pytest.mark.parametrize("name", FOUND)
def test_what_a_parser_costs_grows_no_faster_than_its_text(name: str) -> None:
    a_walk()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            in_a_child(*FOUND[name], writer)  # type: ignore[arg-type]
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as said:
        last = said.read().splitlines()[-1]
    assert os.waitpid(child, 0)[1] == 0, f"{last} take it more than {WALKS} walks, or {MEMORY >> 20} MiB"


def test_every_parser_is_among_them() -> None:
    names = {name.removesuffix("-nvidia-ctk") for name in FOUND}
    wanted = (
        "gpuctl.facts.gpu.driver_library.parse_linker_cache-text",
        "gpuctl.facts.toolkit.toolkit.parse_version-text",
    )
    assert set(wanted) - names == set()
    assert len(FOUND) > 100
