"""A table's lines as rows, each with its place, and what is wrong with each by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from gpuctl.compat.tables.loader import data_dir, lines_of
from gpuctl.frozen import dataclass

ROWS_LIMIT = 20_000
_DIGITS = 18
_LETTERS, _HALF = 200, 90
"""Of what a schema says about a row: it repeats the value, which may be long."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with a table, in a sentence: in which file, and on which line; None where it is the whole file."""

    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


@dataclass(frozen=True)
class Row:
    """A row of a table, and where it stands. A field that it does not have reads as None."""

    file: str
    line: int
    fields: dict[str, Any]

    def __getitem__(self, field: str) -> Any:
        return self.fields.get(field)

    def problem(self, message: str) -> Problem:
        return Problem(self.file, self.line, message)


def read_rows(table: str, file: str, raw: bytes) -> tuple[tuple[Row, ...], tuple[Problem, ...]]:
    """Returns the rows of a table's file that are right by themselves, and what is wrong with the others."""
    try:
        lines = lines_of(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return (), (Problem(file, line, "This line holds bytes that are no UTF-8."),)
    if lines == [""]:
        return (), (Problem(file, None, "The table holds no row."),)
    if len(lines) > ROWS_LIMIT:
        return (), (Problem(file, None, f"The table holds more than {ROWS_LIMIT:,} lines."),)
    return _checked(table, file, lines)


def released_rows(file: str, raw: bytes) -> tuple[Row, ...]:
    """Returns the rows of a table that gpuctl brings, each of which was judged before it was released.

    Raises ValueError where a line is no JSON.
    """
    lines = lines_of(raw.decode("utf-8"))
    return tuple(Row(file, number, json.loads(line)) for number, line in enumerate(lines, 1))


def _checked(table: str, file: str, lines: list[str]) -> tuple[tuple[Row, ...], tuple[Problem, ...]]:
    schema = json.loads((data_dir() / "schemas" / "tables" / f"{table}.schema.json").read_text(encoding="utf-8"))
    misfit = _misfit(schema)
    rows, problems = [], []
    first: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = Row(file, number, _fields(line, misfit))
            earlier = first.setdefault(json.dumps([row[field] for field in schema["key"]]), number)
            if earlier != number:
                raise ValueError(f"It has the same {', '.join(schema['key'])} as line {earlier}.")
            rows.append(row)
        except ValueError as error:
            problems.append(Problem(file, number, str(error)))
    return tuple(rows), tuple(problems)


def _fields(line: str, misfit: Callable[[Any], str | None]) -> dict[str, Any]:
    """Returns a line's fields. Raises ValueError with a sentence where it is no row."""
    try:
        fields = json.loads(line, object_pairs_hook=_each_once, parse_constant=_no_number, parse_int=_integer)
        problem = misfit(fields) or _bad_text(fields)
    except json.JSONDecodeError as error:
        raise ValueError(f"This line is no JSON: {error.msg} in column {error.colno}.") from None
    except RecursionError:
        raise ValueError("This line is nested too deeply.") from None
    if problem:
        raise ValueError(problem)
    return dict(fields)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("This line gives one field twice.")
    return fields


def _no_number(name: str) -> None:
    raise ValueError(f"This line is no JSON: {name} is no number.")


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError("This line holds a number of too many digits.")
    return int(digits)


def _misfit(schema: dict[str, Any]) -> Callable[[Any], str | None]:
    """Returns what tells how a row departs from the schema, in a sentence; None where it does not."""
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(schema)

    def misfit(fields: Any) -> str | None:
        error = next(validator.iter_errors(fields), None)
        if error is None:
            return None
        where = ".".join(map(str, error.absolute_path))
        said = (
            error.message if len(error.message) <= _LETTERS else f"{error.message[:_HALF]} … {error.message[-_HALF:]}"
        )
        return f"{where}: {said}." if where else f"{said}."

    return misfit


def _bad_text(fields: dict[str, Any]) -> str | None:
    if not fields["source"].strip():
        return "The row names no source."
    unprintable = next((text for text in _texts(fields) if not text.isprintable()), None)
    return f"The row holds a control character, in {unprintable[:_LETTERS]!a}." if unprintable else None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (key, *_texts(item))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
