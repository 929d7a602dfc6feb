"""The CUDA table for people, with a host's verdict beside each version."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gpuctl.compat.matrix import HostColumn, MatrixRow
from gpuctl.render.check import STYLES
from gpuctl.render.text import plain


def print_matrix(rows: Sequence[MatrixRow], column: HostColumn | None) -> None:
    """Prints the table. Without a host's column it says how to get one."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("CUDA", "driver", "GPUs", "architectures"):
        table.add_column(title)
    if column:
        table.add_column(f"driver {plain(column.driver)}, {plain(', '.join(column.gpus))}")
    for row in rows:
        verdict = column.verdicts[row.cuda] if column else None
        cells = [Text(text) for text in (row.cuda, row.driver, row.gpus, _span(row.architectures))]
        table.add_row(*cells, *([Text(verdict.value, STYLES[verdict])] if verdict else []))
    out = Console(markup=False, highlight=False, emoji=False)
    out.print(table)
    if column is None:
        out.print(Text("No driver and GPU here to mark: describe a host with --driver and --gpu.", "dim"))


def _span(architectures: tuple[str, ...]) -> str:
    ends = dict.fromkeys((architectures[0], architectures[-1])) if architectures else {}
    return " to ".join(ends)
