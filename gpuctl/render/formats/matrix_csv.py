"""The grid of CUDA versions and architectures as CSV (RFC 4180), for spreadsheets and databases."""

from __future__ import annotations

import csv
import io
from dataclasses import fields

from gpuctl.compat.answer.matrix import Cell, Matrix


def matrix_csv(matrix: Matrix) -> str:
    """Returns a header and a row for each cell; what there is none of is empty, several capabilities share a field."""
    out = io.StringIO()
    names = [field.name for field in fields(Cell)]
    writer = csv.DictWriter(out, names)
    writer.writeheader()
    writer.writerows({name: _field(getattr(cell, name)) for name in names} for cell in matrix.cells)
    return out.getvalue()


def _field(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(value)
    return "" if value is None else str(getattr(value, "value", value))
