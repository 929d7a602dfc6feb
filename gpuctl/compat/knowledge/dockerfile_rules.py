"""The rules of `gpuctl dockerfile lint`: knowledge from data/dockerfile_rules.jsonl."""

from __future__ import annotations

from enum import Enum
from functools import cache

from gpuctl.compat.tables.loader import load
from gpuctl.frozen import dataclass


class Severity(str, Enum):
    """How bad a fault is, in the words of SARIF. A note is no problem by itself."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class DockerfileRule:
    """A rule: what it finds, why that is a fault, and what to do instead. `fixed`: --fix can write it."""

    id: str
    severity: str
    title: str
    why: str
    instead: str
    source: str
    fixed: bool = False

    @property
    def layer(self) -> str:
        """What it is about: the first part of its id."""
        return self.id.partition(".")[0]


@cache
def dockerfile_rules() -> dict[str, DockerfileRule]:
    """Returns the rules by id, in the order in which they are told."""
    return {row.id: row for row in load("dockerfile_rules", DockerfileRule)}
