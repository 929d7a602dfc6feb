"""The grid of CUDA versions and architectures as a picture: bars that say from which driver on.

A bar spans the columns in which the same driver is asked for. Every bar says its number, so that nothing rests on its
colour, which only tells one CUDA major version from the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from gpuctl.compat.answer.matrix import Cell, Column, Matrix, narrow_columns
from gpuctl.compat.knowledge.branch_ends import driver_words
from gpuctl.compat.tables.loader import Branch, architectures, branches, toolkits
from gpuctl.frozen import dataclass
from gpuctl.model import Verdict
from gpuctl.render.draw.matrix_svg_key import DASH, EDGES, OVER, SUPPORTED, TINTS, draw_key, draw_mark, draw_sources
from gpuctl.render.draw.svg import Canvas, picture
from gpuctl.render.draw.text import plain

_STYLE = """
text { font-family: "Helvetica Neue", Helvetica, Arial, "Liberation Sans", "DejaVu Sans", sans-serif; fill: #14213d; }
.title { font-size: 34px; font-weight: 700; } .lead { font-size: 16px; fill: #3d4a66; }
.head { font-size: 14px; font-weight: 700; } .chip { font-size: 12px; font-weight: 600; fill: #3d4a66; }
.product { font-size: 10.5px; fill: #56617a; } .cuda { font-size: 17px; font-weight: 700; }
.small { font-size: 11px; fill: #56617a; } .number { font-size: 12px; font-weight: 700; }
.limits { font-size: 10px; fill: #2f3a54; } .ptx { font-size: 10px; fill: #697386; }
.host { font-size: 16px; font-weight: 700; } .label { font-size: 12px; font-weight: 700; fill: #3d4a66; }
"""
_PAPER, _STRIPE, _LINE, _INK = "#fcfbf8", "#f3f1ea", "#ddd8ca", "#14213d"
_KINDS = {"LTSB": "long-term", "PB": "production", "NFB": "new feature"}
_RUNS = (Verdict.COMPATIBLE, Verdict.LIMITED, Verdict.NEEDS_PACKAGE)
_OLDER_THAN_GPU = "gpu.newer-than-toolkit"
_MARGIN, _LEFT, _RIGHT, _TOP, _ROW, _GRID = 48, 136, 232, 250, 30, 1328
_ROOM = 240
"""The width from which on both numbers of a bar stand side by side."""
_KEY = 236
"""Below the last row: the branches, the legend and the sources, in pixels like all the others."""


@dataclass(frozen=True)
class Place:
    """Where a column begins and how wide the columns are; where a CUDA version's line begins."""

    columns: tuple[Column, ...]
    versions: tuple[str, ...]

    @property
    def width(self) -> float:
        return _GRID / len(self.columns)

    def x(self, column: int) -> float:
        return _MARGIN + _LEFT + column * self.width

    def y(self, version: int) -> float:
        return _TOP + version * _ROW

    @property
    def bottom(self) -> float:
        return self.y(len(self.versions))


def matrix_svg(matrix: Matrix) -> bytes:
    """Returns the picture as an SVG document, newest CUDA on top."""
    versions = tuple(reversed(list(dict.fromkeys(row.cuda for row in matrix.rows))))
    place = Place(narrow_columns(matrix.cells), versions)
    sources = list(dict.fromkeys(cell.source for cell in matrix.cells))
    height = place.bottom + _KEY + 15 * ((len(sources) + 1) // 2)
    width = 2 * _MARGIN + _LEFT + _GRID + _RIGHT
    canvas = picture(width, height, _STYLE, _PAPER, plain(_title(matrix)), _description(versions))
    _draw_title(canvas, matrix)
    _draw_ground(canvas, place)
    _draw_heads(canvas, place, matrix)
    for number, cuda in enumerate(versions):
        _draw_version(canvas, place, number, cuda, matrix)
    _draw_ends(canvas, place)
    draw_key(canvas, _MARGIN, place.bottom + 92, matrix)
    draw_sources(canvas, _MARGIN, place.bottom + _KEY - 42, sources)
    return canvas.document()


def _title(matrix: Matrix) -> str:
    return f"Which NVIDIA driver runs which CUDA on which GPU{f': driver {matrix.driver}' if matrix.driver else ''}"


def _description(versions: tuple[str, ...]) -> str:
    return (
        f"A grid. Lines are CUDA {versions[-1]} to {versions[0]}, newest on top; columns are GPU architectures, the "
        "oldest on the left. A bar says the lowest driver that runs that CUDA there, a dashed bar with limits only; "
        "PTX: only programs that carry PTX run; a dash: it does not run. On the right: the driver branch that came "
        "with each CUDA."
    )


def _draw_title(canvas: Canvas, matrix: Matrix) -> None:
    canvas.text(_MARGIN, 66, "CUDA · driver · architecture", "title")
    canvas.text(
        _MARGIN, 94, "The lowest NVIDIA driver on Linux that runs each CUDA version on each GPU architecture", "lead"
    )
    if matrix.driver:
        judged = f" with {', '.join(matrix.host.gpus)}" if matrix.host else ""
        driver = driver_words(matrix.driver)
        words = f"Driver {driver}{judged}. Pale: what this driver does not run, or on some products only."
        canvas.text(_MARGIN, 120, plain(words), "host")


def _draw_ground(canvas: Canvas, place: Place) -> None:
    """Stripes behind every other architecture, a line between CUDA major versions."""
    first = 0
    for number, (_, same) in enumerate(groupby(place.columns, lambda column: column.head)):
        count = len(list(same))
        if number % 2 == 0:
            canvas.box(place.x(first), _TOP - 112, count * place.width, place.bottom - _TOP + 152, fill=_STRIPE)
        first += count
    for number, cuda in enumerate(place.versions):
        if number and _major(cuda) != _major(place.versions[number - 1]):
            canvas.line(_MARGIN, place.y(number), place.x(len(place.columns)) + _RIGHT, place.y(number), _LINE)


def _major(cuda: str) -> int:
    return int(cuda.split(".")[0])


def _draw_heads(canvas: Canvas, place: Place, matrix: Matrix) -> None:
    first = 0
    for head, same in groupby(place.columns, lambda column: column.head):
        group = list(same)
        middle = place.x(first) + len(group) * place.width / 2
        words = [head] if len(head) * 8.8 < len(group) * place.width else head.split(" ", 1)
        for line, word in enumerate(words):
            canvas.text(middle, _TOP - 76 - 16 * (len(words) - 1 - line), plain(word), "head", "middle")
        for number, column in enumerate(group, first):
            _draw_column_head(canvas, place.x(number) + place.width / 2, column)
        first += len(group)
    canvas.text(_MARGIN, _TOP - 12, "CUDA", "label")
    canvas.text(place.x(len(place.columns)) + 18, _TOP - 12, "driver branch that came with it", "label")
    _draw_host_frame(canvas, place, matrix)


def _draw_column_head(canvas: Canvas, middle: float, column: Column) -> None:
    canvas.text(middle, _TOP - 56, ", ".join(column.compute_capabilities), "chip", "middle")
    rows = [architectures()[one] for one in reversed(column.compute_capabilities) if one in architectures()]
    products = [product for row in rows for product in row.examples][:2]
    for line, product in enumerate(products):
        canvas.text(middle, _TOP - 40 + 13 * line, product, "product", "middle")


def _draw_host_frame(canvas: Canvas, place: Place, matrix: Matrix) -> None:
    """A frame around the columns of the GPUs in question."""
    for number, column in enumerate(place.columns):
        if set(matrix.compute_capabilities) & set(column.compute_capabilities):
            height = place.bottom - _TOP + 74
            canvas.box(
                place.x(number) + 1, _TOP - 70, place.width - 2, height, fill="none", stroke=_INK, stroke_width=2.5
            )


def _draw_version(canvas: Canvas, place: Place, number: int, cuda: str, matrix: Matrix) -> None:
    middle = place.y(number) + _ROW / 2
    canvas.text(_MARGIN, middle + 6, cuda, "cuda")
    canvas.text(_MARGIN + 98, middle + 4, _released(cuda), "small", "end")
    if matrix.host:
        draw_mark(canvas, _MARGIN + 118, middle, matrix.host.verdicts[cuda])
    for first, count, cell in _bars(place, cuda):
        _draw_bar(canvas, place.x(first) + 2, place.y(number) + 3, count * place.width - 4, cell)
    _draw_branch(canvas, place.x(len(place.columns)) + 18, middle, cuda)


def _released(cuda: str) -> str:
    """The month of a CUDA version's first final release, "2024-03"; there is no room for it beside an update."""
    if cuda.count(".") > 1:
        return ""
    dates = (row.released for row in toolkits() if cuda in (row.cuda, row.release) and row.branch and row.released)
    return next(dates, "")[:7]


def _bars(place: Place, cuda: str) -> Iterator[tuple[int, int, Cell]]:
    """Each bar's first column, how many it spans, and one of its cells."""
    first = 0
    for _, same in groupby(place.columns, lambda column: _looks(column.cells[cuda])):
        group = list(same)
        yield first, len(group), group[0].cells[cuda]
        first += len(group)


def _looks(cell: Cell) -> tuple[object, ...]:
    nothing = cell.lowest_driver is None and cell.with_limits_from is None
    return cell.lowest_driver, cell.with_limits_from, cell.reason, cell.verdict, cell.architecture if nothing else ""


def _draw_bar(canvas: Canvas, x: float, y: float, width: float, cell: Cell) -> None:
    words = _words(cell)
    pale = cell.verdict is not None and cell.verdict not in _RUNS
    group = canvas.group(f"CUDA {cell.cuda}, {cell.gpu or cell.architecture}: {words}", 0.32 if pale else 1)
    middle, height = x + width / 2, _ROW - 6
    tint, edge = (shades[_major(cell.cuda) % len(shades)] for shades in (TINTS, EDGES))
    if cell.lowest_driver:
        group.box(x, y, width, height, fill=tint, stroke=edge, radius=5)
        _write(group, middle, y, width, cell.lowest_driver, cell.with_limits_from)
    elif cell.with_limits_from is None:
        group.text(middle, y + 16, DASH, "ptx", "middle")
    elif cell.reason == _OLDER_THAN_GPU:
        group.text(middle, y + 16, f"PTX · {cell.with_limits_from}", "ptx", "middle")
    else:
        group.box(x, y, width, height, fill="#ffffff", stroke=edge, radius=5, dashes="4 3")
        group.text(middle, y + 16, f"~ {cell.with_limits_from}", "limits", "middle")


def _write(canvas: Canvas, middle: float, y: float, width: float, lowest: str, limits: str | None) -> None:
    """The number, and the one with limits beside it where there is room, else below it."""
    if limits is None:
        canvas.text(middle, y + 16.5, lowest, "number", "middle")
    elif width > _ROOM:
        canvas.pair(middle, y + 16.5, (lowest, "number"), (f"with limits from {limits}", "limits"))
    else:
        canvas.text(middle, y + 11.5, lowest, "number", "middle")
        canvas.text(middle, y + 21.5, f"~ {limits}", "limits", "middle")


def _words(cell: Cell) -> str:
    limits = f"with limits from driver {cell.with_limits_from}" if cell.with_limits_from else ""
    if cell.lowest_driver:
        return f"driver {cell.lowest_driver} or newer{'; ' if limits else ''}{limits}"
    if cell.reason == _OLDER_THAN_GPU:
        return f"only programs that carry PTX, {limits}"
    return limits or "not at all"


def _draw_branch(canvas: Canvas, x: float, middle: float, cuda: str) -> None:
    branch = _branch_of(cuda)
    if branch is None:
        return
    supported = branch.end_of_life is not None and not branch.ended()
    kind = _KINDS.get(branch.kind, "")
    words = f"until {branch.end_of_life}" if supported else f"ended {branch.end_of_life or ''}".strip()
    colour = SUPPORTED if supported else OVER
    canvas.circle(x + 5, middle, 4.5, fill=colour if supported else "none", stroke=colour)
    canvas.text(x + 20, middle + 4.5, branch.branch, "number")
    canvas.text(x + 54, middle + 4, kind, "small")
    canvas.text(x + 132, middle + 4, words if branch.end_of_life else "", "small")


def _branch_of(cuda: str) -> Branch | None:
    shipped = next((row.branch for row in toolkits() if cuda in (row.cuda, row.release) and row.branch), None)
    return next((branch for branch in branches() if branch.branch == shipped), None)


def _draw_ends(canvas: Canvas, place: Place) -> None:
    """Below each column the branches that drive its GPUs."""
    y = place.bottom + 24
    canvas.text(_MARGIN, y, "driver branches", "label")
    for number, column in enumerate(place.columns):
        rows = [architectures()[one] for one in column.compute_capabilities if one in architectures()]
        begin = min((row.first_driver_branch for row in rows if row.first_driver_branch), key=int, default="…")
        end = max((row.last_driver_branch for row in rows if row.last_driver_branch), key=int, default="")
        canvas.text(place.x(number) + place.width / 2, y, f"{begin} {DASH} {end}".rstrip(), "chip", "middle")
