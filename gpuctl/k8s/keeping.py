"""What becomes of the objects that are read one by one: kept as values, or folded where they only take room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from gpuctl.k8s.decode.things import thing
from gpuctl.k8s.objects import Thing
from gpuctl.k8s.plain import plain_requests

OBJECTS_LIMIT = 250_000
"""Objects that are kept, each of which takes a kilobyte."""


class Keeper(Protocol):
    """Takes up objects, each with its kind. Raises ValueError for one that is none."""

    def take(self, kind: str, found: Mapping[str, Any]) -> bool:
        """Takes up an object; returns whether it is of a kind that is kept."""


class Objects:
    """Keeps what gpuctl knows of an object. `fold`: of plain pods only what they ask for of their node, in `folded`."""

    def __init__(self, fold: bool = False) -> None:
        self.things: list[Thing] = []
        self.folded: dict[str, dict[str, int]] = {}
        self._fold = fold

    def take(self, kind: str, found: Mapping[str, Any]) -> bool:
        plain = plain_requests(found) if self._fold and kind == "Pod" else None
        if plain:
            sums = self.folded.setdefault(plain[0], {})
            for name, value in plain[1].items():
                sums[name] = sums.get(name, 0) + value
            return True
        kept = thing(kind, found)
        if kept is None:
            return False
        if len(self.things) == OBJECTS_LIMIT:
            raise ValueError(f"there are more than {OBJECTS_LIMIT:,} objects")
        self.things.append(kept)
        return True
