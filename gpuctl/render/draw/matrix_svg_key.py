"""The key to the picture of the grid: its colours, its marks, what they mean, and where the numbers come from."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gpuctl.compat.answer.matrix import Matrix
from gpuctl.compat.tables.catalogue import catalogue
from gpuctl.model import Verdict
from gpuctl.render.draw.svg import Canvas

TINTS = ("#fbd9c3", "#d9e6f6", "#f6e7a9", "#cfe9dd", "#e7d8ee", "#cfe4f7", "#f9d5dd", "#d8ebc2")
EDGES = ("#b8501a", "#31619c", "#8a6d00", "#1d7a55", "#6f4390", "#1b6fa8", "#a83a57", "#4f7a1c")
"""By CUDA major version, in turn: a light ground for dark text, and its edge."""
SUPPORTED, OVER = EDGES[3], "#8b93a3"
MARKS = {
    Verdict.COMPATIBLE: ("#1d7a55", "runs"),
    Verdict.LIMITED: ("#b07a00", "runs with limits"),
    Verdict.NEEDS_PACKAGE: ("#31619c", "runs with cuda-compat"),
    Verdict.INCOMPATIBLE: ("#a3324b", "does not run"),
    Verdict.UNKNOWN: ("#56617a", "not known"),
}
DASH = "\N{EN DASH}"
_BAR = (84, 24)


def draw_mark(canvas: Canvas, x: float, y: float, verdict: Verdict) -> None:
    """A verdict by shape and colour: tick, wave, plus, cross or ring."""
    colour, words = MARKS[verdict]
    shapes = {
        Verdict.COMPATIBLE: f"M{x - 6},{y} l4,5 l8,-10",
        Verdict.LIMITED: f"M{x - 7},{y + 2} q3.5,-8 7,-2 t7,-2",
        Verdict.NEEDS_PACKAGE: f"M{x - 6},{y} h12 M{x},{y - 6} v12",
        Verdict.INCOMPATIBLE: f"M{x - 5},{y - 5} l10,10 M{x + 5},{y - 5} l-10,10",
        Verdict.UNKNOWN: f"M{x - 5},{y} a5,5 0 1 0 10,0 a5,5 0 1 0 -10,0",
    }
    canvas.group(words).path(shapes[verdict], colour)


def draw_key(canvas: Canvas, x: float, y: float, matrix: Matrix) -> None:
    """Draws what bars, marks and points mean, in two columns and three lines."""
    canvas.box(x, y - 16, *_BAR, fill=TINTS[5], stroke=EDGES[5], radius=5)
    canvas.text(x + 42, y, "550.54.14", "number", "middle")
    canvas.text(x + 96, y, "runs from this driver on, and with limits from the smaller number on", "small")
    canvas.box(x, y + 16, *_BAR, fill="#ffffff", stroke=EDGES[5], radius=5, dashes="4 3")
    canvas.text(x + 42, y + 32, "~ 450.80.02", "limits", "middle")
    canvas.text(x + 96, y + 32, "runs with limits only (minor-version compatibility)", "small")
    canvas.text(x + 42, y + 62, "PTX · 570", "ptx", "middle")
    canvas.text(x + 96, y + 62, "the GPU is newer than the toolkit: only programs that carry PTX run", "small")
    canvas.text(x + 600, y, DASH, "ptx", "middle")
    canvas.text(x + 616, y, "does not run: the toolkit no longer compiles for it, or no driver drives both", "small")
    month = time.strftime("%Y-%m")
    canvas.circle(x + 600, y + 28, 4.5, fill=SUPPORTED, stroke=SUPPORTED)
    canvas.text(
        x + 616, y + 32, f"NVIDIA supports the branch in {month}; a ring: no longer, or no date is known", "small"
    )
    for number, (verdict, (_, words)) in enumerate(MARKS.items() if matrix.host else ()):
        draw_mark(canvas, x + 600 + 160 * number, y + 58, verdict)
        canvas.text(x + 616 + 160 * number, y + 62, words, "small")


def draw_sources(canvas: Canvas, x: float, y: float, sources: Sequence[str]) -> None:
    """Writes of which day the CUDA table is, and the documents that the cells rest on, in two columns."""
    as_of = next(entry.as_of for entry in catalogue() if entry.table == "cuda_rows")
    canvas.text(x, y, f"Data of {as_of}. Sources:", "label")
    for number, source in enumerate(sources):
        canvas.text(x + 760 * (number % 2), y + 18 + 15 * (number // 2), source, "small")
