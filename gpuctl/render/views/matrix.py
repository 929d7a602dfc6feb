"""The CUDA table for people: a line for each CUDA version, a column for each architecture, a host's verdict beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from gpuctl.compat.answer.matrix import Cell, Matrix, MatrixRow, columns
from gpuctl.compat.knowledge.branch_ends import branch_reason, driver_words
from gpuctl.compat.knowledge.jetpack import without_driver
from gpuctl.compat.tables.loader import architectures, minor_version_floors
from gpuctl.compat.versions import Version, parts
from gpuctl.model import Verdict
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.views.check import STYLES

_LEFT, _DRIVER = 7, 13
"""The columns that a CUDA version and its driver range take."""
_LEAST = 5
"""The columns that an architecture takes at least."""
_WIDTH = 80
_SHORT = {"Ada Lovelace": "Ada", "Blackwell": "Blackw.", "Blackwell Ultra": "Bl. Ultra"}
_MARKS = {
    Verdict.COMPATIBLE: "yes",
    Verdict.LIMITED: "~",
    Verdict.NEEDS_PACKAGE: "pkg",
    Verdict.INCOMPATIBLE: "-",
    Verdict.UNKNOWN: "?",
}
_HOSTS_MARKS = {
    Verdict.COMPATIBLE: "+",
    Verdict.LIMITED: "~",
    Verdict.NEEDS_PACKAGE: "p",
    Verdict.INCOMPATIBLE: "-",
    Verdict.UNKNOWN: "?",
}
_STYLES = {**STYLES, Verdict.INCOMPATIBLE: "dim"}
_OLDER_THAN_GPU = "gpu.newer-than-toolkit"
_OF_NUMBERS = """
550   runs from this branch of the driver on: its exact number is on the left
~450  runs with limits only (minor-version compatibility), from the number over these lines on
ptx   the GPU is newer than the toolkit: only programs that carry PTX run
-     does not run: the toolkit no longer compiles for it, or no driver drives both
'     not so on all its chips: --gpu NAME, --csv, --json and --svg FILE tell
"""
_OF_ONE_GPU = """
550.54.14  runs from this driver on
~525.60.13 runs with limits from this driver on
ptx        the GPU is newer than the toolkit: only programs that carry PTX run
-          does not run
"""
_OF_HOST = """
Beside the version, for the host:
+ runs   ~ runs with limits   - does not run
p runs with the cuda-compat package   ? cannot be told
"""
_OF_MARKS = """
yes runs   ~ runs with limits   - does not run
pkg runs with the cuda-compat package
? depends on the product: name it with --gpu
' not so on all its chips: --csv tells
"""


def matrix_text(matrix: Matrix, mark_driver: bool) -> Styled:
    """Returns the table, with a column for each architecture at most 80 wide. A host's verdict is a mark.

    The cells say from which driver on, or with `mark_driver` what the driver in question makes of each. Where the
    matrix is for GPUs that are named, each of these has a column instead.
    """
    table = _cells(matrix, mark_driver)
    text = _title(matrix, mark_driver).append(_heading(table, matrix))
    for major, rows in groupby(matrix.rows, lambda row: row.cuda.split(".")[0]):
        text.append(_floor(int(major)))
        for cuda, same in groupby(rows, lambda row: row.cuda):
            text.append(_line(list(same), {head: cells[cuda] for head, cells in table.items()}, matrix))
    named = any(cell.gpu for cell in matrix.cells)
    legend = _OF_MARKS if mark_driver else _OF_ONE_GPU if named else _OF_NUMBERS
    text.append(_ends(table, matrix)).append(legend, "dim")
    return text.append(_OF_HOST, "dim") if matrix.host else text


Table = Mapping[str, Mapping[str, tuple[str, str]]]
"""By column and CUDA version a cell's text and its style. The texts of a column are equally wide."""


def _cells(matrix: Matrix, mark_driver: bool) -> Table:
    shown = _mark if mark_driver else _driver
    table: dict[str, dict[str, tuple[str, str]]] = {}
    for head, cells in columns(matrix.cells).items():
        of_cuda = {cuda: shown([cell for cell in cells if cell.cuda == cuda]) for cuda in {cell.cuda for cell in cells}}
        room = len(head) + 1 if cells[0].gpu else _LEAST
        width = max(room, *(len(words) + 1 for words, _ in of_cuda.values()))
        table[head] = {cuda: (f"{words:<{width}}", style) for cuda, (words, style) in of_cuda.items()}
    return table


def _mark(cells: Sequence[Cell]) -> tuple[str, str]:
    """What the driver makes of the GPUs that fare best with it, and whether others fare worse."""
    verdicts = [cell.verdict or Verdict.UNKNOWN for cell in cells]
    best = min(verdicts, key=list(_MARKS).index)
    return _MARKS[best] + "'" * (len(set(verdicts)) > 1), _STYLES[best]


def _driver(cells: Sequence[Cell]) -> tuple[str, str]:
    """From which driver on the GPUs run it that fare best, and whether others fare worse."""
    best = min(cells, key=_need)
    words, style = _words(best)
    return words + "'" * any(_words(cell)[0] != words for cell in cells), style


def _need(cell: Cell) -> tuple[bool, bool, Version]:
    """By what cells are sorted: the least driver first, then what runs with limits, then what does not run."""
    driver = cell.lowest_driver or cell.with_limits_from
    return cell.lowest_driver is None, driver is None, parts(driver or "0")


def _words(cell: Cell) -> tuple[str, str]:
    limits = f"~{_number(cell, cell.with_limits_from)}" if cell.with_limits_from else ""
    if cell.lowest_driver:
        return f"{_number(cell, cell.lowest_driver)} {limits if cell.gpu else ''}".strip(), ""
    if cell.reason == _OLDER_THAN_GPU:
        return f"ptx {limits if cell.gpu else ''}".strip(), "dim"
    return (limits, "yellow") if limits else ("-", "dim")


def _number(cell: Cell, driver: str) -> str:
    """There is room for a driver's whole number where the columns are few, else for its branch."""
    return driver if cell.gpu else driver.split(".")[0]


def _title(matrix: Matrix, mark_driver: bool) -> Styled:
    text = Styled()
    if mark_driver and matrix.driver:
        text.append(f"What driver {plain(driver_words(matrix.driver))} runs\n", "bold")
    if matrix.host:
        text.append(f"The host has driver {plain(matrix.host.driver)} and {plain(', '.join(matrix.host.gpus))}.\n")
    elif not matrix.driver:
        text.append(f"{without_driver(matrix.compute_capabilities)}\n", "dim")
    reason = branch_reason(matrix.driver) if matrix.driver else None
    return text.append(f"{reason.message}\n" if reason else "").append("\n")


def _heading(table: Table, matrix: Matrix) -> Styled:
    """Two lines, on which the architectures' names take turns: each then has the room of two columns."""
    lines = [" " * (_LEFT + _DRIVER), f"{'CUDA':<{_LEFT}}{'driver':<{_DRIVER}}"]
    place = _LEFT + _DRIVER
    for number, (head, cells) in enumerate(table.items()):
        line = 1 if number % 2 == 0 or any(cell.gpu for cell in matrix.cells) else 0
        name = plain(_SHORT.get(head, head))
        start = place if any(cell.gpu for cell in matrix.cells) else min(place, _WIDTH - len(name))
        lines[line] = f"{lines[line]:<{start}}{name}"
        place += len(next(iter(cells.values()))[0])
    return Styled(f"{lines[0]}\n{lines[1]}\n" if lines[0].strip() else f"{lines[1]}\n", "bold")


def _floor(major: int) -> Styled:
    floor = minor_version_floors().get(major)
    return Styled(f"From {floor.min_driver} on every CUDA {major}.x runs, with limits:\n" if floor else "", "dim")


def _line(rows: Sequence[MatrixRow], cells: Mapping[str, tuple[str, str]], matrix: Matrix) -> Styled:
    """A CUDA version's line, and below it the rows that are for certain GPUs only."""
    general = rows[-1]
    text = Styled(f"{general.cuda:<{_LEFT - 2}}", "bold").append(*_of_host(general, matrix))
    text.append(f"{general.driver:<{_DRIVER}}")
    *others, (last, style) = cells.values()
    for words, others_style in others:
        text.append(words, others_style)
    text.append(f"{last.rstrip()}\n", style)
    for row in rows[:-1]:
        text.append(f"{'':<{_LEFT}}{row.driver} on {row.gpus}\n", "dim")
    return text


def _of_host(row: MatrixRow, matrix: Matrix) -> tuple[str, str]:
    verdict = matrix.host.verdicts[row.cuda] if matrix.host else None
    return (f"{_HOSTS_MARKS[verdict]} ", STYLES[verdict]) if verdict else ("  ", "")


def _ends(table: Table, matrix: Matrix) -> Styled:
    """Two lines: the first and the last branch of the driver that drive each column's GPUs."""
    first, last = f"{'Branches from':<{_LEFT + _DRIVER}}", f"{'to':<{_LEFT + _DRIVER}}"
    for head, cells in columns(matrix.cells).items():
        known = [architectures().get(capability) for cell in cells for capability in cell.compute_capabilities]
        begins = [row.first_driver_branch for row in known if row and row.first_driver_branch]
        ends = [row.last_driver_branch for row in known if row and row.last_driver_branch]
        width = len(next(iter(table[head].values()))[0])
        first += f"{min(begins, key=int, default=''):<{width}}"
        last += f"{max(ends, key=int, default=''):<{width}}"
    return Styled(f"{first.rstrip()}\n{last.rstrip()}\n", "dim")
