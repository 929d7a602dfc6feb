"""Many hosts, one row each: the same questions as for one host, with one verdict a row.

A row is a line of CSV, whose first line names the fields, or a line of JSON. A bad row is told with its line number.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from codecs import BOM_UTF8, getincrementaldecoder
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import chain, islice
from operator import itemgetter
from typing import Any, BinaryIO, NamedTuple

from gpuctl.compat.answer.answer import brief
from gpuctl.compat.ask.encodings import UTF16, encoding_of
from gpuctl.compat.ask.image_claims import Expression, claims_of_tag
from gpuctl.compat.ask.question import Machine, Question, typed_cuda, with_image
from gpuctl.compat.judge.alike import bounds, stand_in
from gpuctl.compat.judge.gate.gate import Gate, Requirement
from gpuctl.compat.judge.named import gpus_beside
from gpuctl.compat.judge.rulings import SEVERITY
from gpuctl.compat.knowledge.branch_ends import branch_ends, branch_reason, releases_meant
from gpuctl.compat.knowledge.gpus.gpus import Gpu, gpu_described, with_brand
from gpuctl.compat.knowledge.windows import driver_told
from gpuctl.compat.versions import Version, parse_cuda, parse_driver
from gpuctl.frozen import dataclass
from gpuctl.model import Reason, Verdict

FIELDS = ("driver", "driver_cuda", "gpu", "compute_capability", "brand", "cuda", "image", "require")
_NAMES = ("host", "hostname", "name")
"""Fields that say which host it is. All others are somebody else's: they are named, and not looked at."""
_OF_NVIDIA_SMI = {"driver_version": "driver", "compute_cap": "compute_capability", "gpu_name": "gpu"}
"""What `nvidia-smi --query-gpu` calls them, whose `name` is the GPU's."""
_UNIT = re.compile(r"\s*\[[^\]]*\]$")
_NOT_TOLD_BEGINS = ("[", "N", "n")
_NOT_TOLD = re.compile(r"\[?(?:n/?a|not supported|unknown error|insufficient permissions)\]?", re.IGNORECASE)
LONGEST_LINE = 1 << 20
"""Bytes. A longer line is a bad row."""
_LINES_OF_A_ROW = 64
"""In so many lines a quoted cell has to end."""
_REMEMBERED = 1 << 15
_ROWS_REMEMBERED = 1 << 12
"""Fewer: where each row is new, the memory of the last ones is no more than slow."""
_Told = tuple[Any, ...]
"""What a row tells in each of FIELDS."""
_Parse = Callable[[str], tuple[str | None, _Told]]
"""Returns what a row calls its host, and what it tells. Raises ValueError, RecursionError."""
_NAMED_AT_MOST = 50
LONGEST_CELL = csv.field_size_limit()
"""Characters. Of a shorter row without quotes and spaces the reader makes what `split` does, in four times the time."""
_DIALECTS = {
    separator: csv.reader((), strict=True, skipinitialspace=True, delimiter=separator).dialect for separator in ",;\t|"
}
"""By what separates cells. As values: of options every reader would make one anew, which takes longer than a line."""


class NoHosts(ValueError):
    """What was given are no hosts. The message is a sentence."""


@dataclass(frozen=True)
class HostRow:
    """A host as its row describes it; "" where it says nothing."""

    driver: str = ""
    driver_cuda: str = ""
    gpu: str = ""
    compute_capability: str = ""
    brand: str = ""
    cuda: str = ""
    image: str = ""
    require: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowVerdict:
    """What became of a row: the verdict with the reason that decided, and what came of its requirement.

    Where `error` says why the row could not be judged, there is nothing else.
    """

    verdict: Verdict | None = None
    reason: str | None = None
    message: str | None = None
    requirement: str | None = None
    failed: tuple[str, ...] = ()
    error: str | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class HostClass:
    """Hosts whose rows say the same: what they say, and what became of it. As a key it is itself, which costs least."""

    row: HostRow
    said: RowVerdict


class HostVerdict(NamedTuple):
    """A row's line number, counted from 1, what it calls its host, and the class that it belongs to.

    The class names the driver that stands for those of its hosts; `driver` is the row's own.
    """

    line: int
    host: str | None
    kind: HostClass
    driver: str


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yields a file's lines, those of UTF-16 as UTF-8; of one that is too long only its beginning, still too long."""
    pieces = iter(partial(file.readline, LONGEST_LINE + 1), b"")
    first = next(pieces, b"")
    if encoding_of(first) == UTF16:
        yield from _recoded(chain([first], pieces))
        return
    for line in chain(filter(None, [first]), pieces):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE)
        yield line


def _recoded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    decode = getincrementaldecoder(UTF16)("replace").decode
    held = ""
    for piece in pieces:
        *whole, held = (held + decode(piece)).split("\n")
        yield from (line.encode() for line in whole)
        held = held[: LONGEST_LINE + 1]
    yield held.encode()


def host_verdicts(
    lines: Iterable[bytes], question: Question, unread: Callable[[str], object] = str
) -> Iterator[HostVerdict]:
    """Yields the verdict of each row, in their order; `question` is asked of every host besides its own row.

    Takes CSV (that of `nvidia-smi --query-gpu=… --format=csv` too) and JSON lines, whichever the first line is.
    `unread` is told, once, each field that nothing here reads. Raises NoHosts before the first verdict where it is
    neither, or has no rows.
    """
    rows, parse = _rows(lines, unread)
    classes = _Classes(question)
    for number, text in rows:
        try:
            if not isinstance(text, str):
                raise text
            host, told = parse(text)
        except (ValueError, RecursionError) as error:
            yield HostVerdict(number, None, HostClass(HostRow(), RowVerdict(error=_sentence(error))), "")
        else:
            yield HostVerdict(number, host, *classes.of(told))


def machines_of(lines: Iterable[bytes], unread: Callable[[str], object] = str) -> tuple[Machine, ...]:
    """Returns the different machines that rows describe, in their order; what they ask for besides does not count.

    Raises NoHosts where there are none, and for the first row that cannot be read.
    """
    rows, parse = _rows(lines, unread)
    found: dict[Machine, None] = {}
    machine = lru_cache(maxsize=_REMEMBERED)(lambda told: _machine(_row(told)))
    for number, text in rows:
        try:
            if isinstance(text, ValueError):
                raise text
            described = machine(parse(text)[1])
            for release in releases_meant(described.driver) if described.driver else ():
                parse_driver(release)
            found.setdefault(described)
        except (ValueError, RecursionError) as error:
            raise NoHosts(f"line {number}: {_sentence(error)}") from None
    return tuple(found)


def _rows(
    lines: Iterable[bytes], unread: Callable[[str], object]
) -> tuple[Iterator[tuple[int, str | ValueError]], _Parse]:
    """The rows with their line numbers, and what reads one of them."""
    filled = _filled(lines)
    first = next(filled, None)
    if first is None:
        raise NoHosts("it is empty")
    number, text = first
    if isinstance(text, Exception):
        raise NoHosts(f"line {number}: {text}")
    if text.lstrip().startswith("{"):
        return chain([first], filled), _json_parser(unread)
    if text.lstrip().startswith("["):
        raise NoHosts("it is a JSON array: give each host a line of its own, as jq -c '.[]' prints them")
    parse = _csv_parser(text, unread)
    row = next(filled, None)
    if row is None:
        raise NoHosts("it has no rows: its first line names fields, and no line of a host follows")
    return _records(chain([row], filled), _reader(_separator(text))), parse


def _records(
    lines: Iterator[tuple[int, str | ValueError]], cells_of: Callable[[str], list[str]]
) -> Iterator[tuple[int, str | ValueError]]:
    """The lines of CSV, those of a row with a line break in a quoted cell as one, by the number of the first.

    A quote that nobody closes spoils its own row and no other: what is no CSV together stays apart.
    """
    held: deque[tuple[int, str | ValueError]] = deque()
    while one := held.popleft() if held else next(lines, None):
        number, text = one
        if isinstance(text, str) and text.count('"') % 2:
            held.extend(islice(lines, _LINES_OF_A_ROW - len(held)))
            row = _to_the_closing_quote(text, held)
            if row and _is_csv(row, cells_of):
                for _ in range(row.count("\n")):
                    held.popleft()
                text = row
        yield number, text


def _to_the_closing_quote(first: str, after: Iterable[tuple[int, str | ValueError]]) -> str | None:
    row = [first]
    for _, line in after:
        if not isinstance(line, str) or sum(map(len, row)) > LONGEST_LINE:
            return None
        row.append(line)
        if line.count('"') % 2:
            return "\n".join(row)
    return None


def _is_csv(text: str, cells_of: Callable[[str], list[str]]) -> bool:
    try:
        return bool(cells_of(text))
    except ValueError:
        return False


def _filled(lines: Iterable[bytes]) -> Iterator[tuple[int, str | ValueError]]:
    """The lines that are not blank, with their numbers."""
    for number, line in enumerate(lines, 1):
        text = _text(line if number > 1 else line.removeprefix(BOM_UTF8))
        if not isinstance(text, str) or text.strip():
            yield number, text


def _text(line: bytes) -> str | ValueError:
    if len(line) > LONGEST_LINE:
        return ValueError(f"it is longer than {LONGEST_LINE} bytes")
    try:
        text = line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        return ValueError(f"it is no UTF-8 (byte {error.start + 1})")
    return ValueError("it holds a NUL byte") if "\0" in text else text


def _json_parser(unread: Callable[[str], object]) -> _Parse:
    # Numbers as they are spelt: 384.130 is no 384.13.
    decode = json.JSONDecoder(parse_float=str, parse_int=str).decode
    seen = {*FIELDS, *_NAMES}

    def parse(text: str) -> tuple[str | None, _Told]:
        values = decode(text)
        if not isinstance(values, dict):
            raise ValueError("it is no JSON object")
        named = dict(zip(_named(tuple(values)), values.values(), strict=True))
        for name in sorted(named.keys() - seen) if len(seen) < _NAMED_AT_MOST else ():
            seen.add(name)
            unread(name)
        return _host(map(named.get, _NAMES)), tuple(_hashable(named.get(name)) for name in FIELDS)

    return parse


def _hashable(value: Any) -> Any:
    """A list as a tuple; what else has no hash is no answer in any field."""
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    return frozenset(value) if isinstance(value, dict) else value


def _csv_parser(header: str, unread: Callable[[str], object]) -> _Parse:
    cells_of = _reader(_separator(header))
    try:
        cells = cells_of(header)
    except ValueError as error:
        raise NoHosts(f"its first line names no fields: {error}") from None
    names = _named(tuple(name.strip().lower() for name in cells))
    if not set(names) & set(FIELDS):
        raise NoHosts(f"its first line names none of the fields {', '.join(FIELDS)}, and is no JSON object")
    twice = sorted(name for name, times in Counter(names).items() if times > 1 and name in (*FIELDS, *_NAMES))
    if twice:
        raise NoHosts(f"its first line names {twice[0]} twice")
    for name in dict.fromkeys(names):
        if name and name not in (*FIELDS, *_NAMES):
            unread(name)

    columns = [names.index(name) if name in names else len(names) for name in (*_NAMES, *FIELDS)]
    hosts, fields = itemgetter(*columns[: len(_NAMES)]), itemgetter(*columns[len(_NAMES) :])
    blank = [""] * (len(names) + 1)  # one more for what no column tells

    def parse(text: str) -> tuple[str | None, _Told]:
        cells = cells_of(text)
        if len(cells) > len(names):
            raise ValueError(f"it has {len(cells)} cells, and the first line names {len(names)}")
        cells += blank[len(cells) :]
        return _host(hosts(cells)), fields(cells)

    return parse


def _separator(header: str) -> str:
    """Returns what separates the cells: that which sets most of the fields that are known here apart."""
    known = {*FIELDS, *_NAMES, *_OF_NVIDIA_SMI}
    return max(_DIALECTS, key=lambda one: sum(cell.strip(' "').lower() in known for cell in header.split(one)))


def _reader(separator: str) -> Callable[[str], list[str]]:
    """Returns what takes a line's cells apart. It raises ValueError for what is no CSV."""
    beside, dialect = f"{separator} ", _DIALECTS[separator]

    def cells(text: str) -> list[str]:
        if len(text) < LONGEST_CELL and not (text[:1] == " " or beside in text or '"' in text or "\r" in text):
            return text.split(separator)
        try:
            return next(csv.reader([text], dialect))
        except csv.Error as error:
            raise ValueError(f"it is no CSV: {error}") from None

    return cells


@lru_cache(maxsize=256)
def _named(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the fields' names without units ("memory.total [MiB]"), those of nvidia-smi as they are called here."""
    bare = [_UNIT.sub("", name) for name in names]
    of_smi = {**_OF_NVIDIA_SMI, "name": "gpu"} if "gpu" not in bare and {*bare} & {*_OF_NVIDIA_SMI} else _OF_NVIDIA_SMI
    return tuple(of_smi.get(name, name) for name in bare)


def _sentence(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return f"it is no JSON: {error}" if isinstance(error, json.JSONDecodeError) else str(error)


def _host(names: Iterable[Any]) -> str | None:
    for name in names:
        if name:
            return str(name)[:200]
    return None


class _Classes:
    """The classes of a fleet, a few many times over: rows that say the same, and those whose drivers fare alike."""

    def __init__(self, common: Question) -> None:
        self.of = lru_cache(maxsize=_ROWS_REMEMBERED)(self._of)
        self._judged = lru_cache(maxsize=_REMEMBERED)(lambda told: _classed(told, common))
        self._bounds = lru_cache(maxsize=_REMEMBERED)(lambda others: _bounds(others, common))

    def _of(self, told: _Told) -> tuple[HostClass, str]:
        """Returns the class of a row, and its driver."""
        driver, others = told[0], told[1:]
        bounds = self._bounds(others) if isinstance(driver, str) else None
        stands = stand_in(driver, bounds) if bounds else None
        if stands:
            return self._judged((stands, *others)), driver
        kind = self._judged(told)
        return kind, kind.row.driver


def _bounds(others: _Told, common: Question) -> tuple[Version, ...] | None:
    """By which versions drivers differ where a row says these others; None for a row that is judged by itself."""
    try:
        row = _row(("", *others))
        question = _question(common, row.cuda, row.image, row.require)
    except ValueError:
        return None
    requirements = [one.text for one in question.gate.expressions] if question.gate else []
    return bounds(f"{row} {question}", requirements)


def _classed(told: _Told, common: Question) -> HostClass:
    try:
        row = _row(told)
    except ValueError as error:
        return HostClass(HostRow(), RowVerdict(error=str(error)))
    return HostClass(row, _verdict(row, common))


def _row(told: _Told) -> HostRow:
    texts = {name: _value(name, value) for name, value in zip(FIELDS[:-1], told, strict=False)}
    require = told[-1] or ()
    required = require if isinstance(require, tuple) else (require,)
    if not all(isinstance(text, str) for text in required):
        raise ValueError("require is neither a text nor a list of texts")
    return HostRow(**{**texts, "driver": driver_told(texts["driver"])}, require=required)


def _value(name: str, value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is neither a text nor a number")
    text = (value or "").strip()
    return "" if text[:1] in _NOT_TOLD_BEGINS and _NOT_TOLD.fullmatch(text) else text


def _verdict(row: HostRow, common: Question) -> RowVerdict:
    try:
        question, machine = _question(common, row.cuda, row.image, row.require), _machine(row)
        ends = branch_ends(row.driver) if row.driver.isdecimal() else None
        verdict, reason, requirement = _of_branch(question, machine, ends) if ends else brief(question, machine)
    except ValueError as error:
        return RowVerdict(error=str(error))
    return RowVerdict(
        verdict,
        reason.id if reason else None,
        reason.message if reason else None,
        requirement.verdict if requirement else None,
        requirement.failed if requirement else (),
    )


def _of_branch(
    question: Question, machine: Machine, ends: Sequence[str]
) -> tuple[Verdict, Reason | None, Requirement | None]:
    """`brief` of the end of the branch that fares worse, and that it is a branch."""
    said = (brief(question, dataclasses.replace(machine, driver=release)) for release in ends)
    verdict, reason, requirement = max(said, key=lambda one: SEVERITY.index(one[0]))
    branch = branch_reason(machine.driver or "")
    if reason and branch:
        reason = dataclasses.replace(reason, message=f"{reason.message} {branch.message}")
    return verdict, reason or branch, requirement


@lru_cache(maxsize=_REMEMBERED)
def _question(common: Question, cuda: str, image: str, require: tuple[str, ...]) -> Question:
    asks = (*common.asks, typed_cuda(cuda)) if cuda else common.asks
    gate = common.gate or Gate()
    typed = (*gate.typed, *(Expression("require", text) for text in require))
    question = Question(asks, dataclasses.replace(gate, typed=typed))
    if image:
        claims = claims_of_tag(image)
        if claims is None:
            raise ValueError(f"the tag of {image!r} does not tell its CUDA version, as those of nvidia/cuda do")
        question = with_image(question, claims)
    if not question.anything:
        raise ValueError("it asks for nothing: give cuda, image or require")
    return question


def _machine(row: HostRow) -> Machine:
    if row.driver_cuda:
        parse_cuda(row.driver_cuda)
    gpus = with_brand(_gpus(row), row.brand or None)
    return Machine(row.driver or None, gpus, driver_cuda=row.driver_cuda or None)


def _gpus(row: HostRow) -> tuple[Gpu, ...]:
    try:
        return (gpu_described(row.gpu, row.compute_capability),)
    except ValueError:
        if not row.driver or row.compute_capability:
            raise
        return gpus_beside(releases_meant(row.driver), row.gpu, hints=False)
