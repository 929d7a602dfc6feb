"""A frozen dataclass of gpuctl's is what the library makes of the same lines."""

from __future__ import annotations

import dataclasses
from dataclasses import FrozenInstanceError, asdict, field, fields, is_dataclass, replace
from typing import Any

import pytest

from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class Place:
    """Somewhere."""

    host: str
    path: str = "/"


@dataclass(frozen=True)
class Found(Place):
    number: int = 0


@dataclasses.dataclass(frozen=True)
class Library:
    host: str
    path: str = "/"
    number: int = 0


def test_the_library_knows_what_is_made() -> None:
    here = Found("a", number=3)
    assert is_dataclass(Found)
    assert [(one.name, one.type, one.default) for one in fields(Found)] == [
        (one.name, one.type, one.default) for one in fields(Library)
    ]
    assert asdict(here) == asdict(Library("a", number=3))
    assert replace(here, path="/etc") == Found("a", "/etc", 3)
    assert [one.name for one in fields(Place)] == ["host", "path"]


def test_values_are_alike_and_shown_as_the_librarys() -> None:
    assert Found("a") == Found("a") != Found("b")
    assert hash(Found("a")) == hash(Found("a"))
    assert Place("a") != Library("a")
    assert repr(Found("a")) == repr(Library("a")).replace("Library", "Found")
    with pytest.raises(FrozenInstanceError):
        Found("a").host = "b"  # type: ignore[misc]


def test_a_class_that_it_cannot_make_is_refused() -> None:
    class Late:
        host: str = ""
        path: str

    class Made:
        host: str = field(default="", repr=False)

    for cls in (Late, Made):
        made: Any = dataclass(frozen=True)
        with pytest.raises(TypeError):
            made(cls)
