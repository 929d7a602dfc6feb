"""The families of failures that GPU containers show: by which core line each is known, why it is so, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from gpuctl.compat.tables import load
from gpuctl.model import Disturbs, Remedy

LAYERS = (
    "hardware",
    "kernel",
    "os",
    "wsl",
    "driver",
    "packages",
    "toolkit",
    "cdi",
    "mig",
    "docker",
    "compose",
    "podman",
    "containerd",
    "k8s",
    "image",
)
"""Where a failure is mended, causes before what rests on them."""


@dataclass(frozen=True)
class Family:
    """Failures with one cause.

    `cores`: its wordings without what engines wrap around them; `*` stands for a few words. One that several families
    have is told apart by `checks`, the doctor's whose failure on this host decides for this family (where
    `check_says` is given, only with this word in the message), and by `context`, words that make it the likelier one
    when they stand nearby. `look` is the command that tells it from its look-alikes, as `tells_apart` says.
    `explains`: families that are its consequences. `reports`: in how many public threads it was found, 0: not counted.
    """

    id: str
    title: str
    layer: str
    reports: int
    cause: str
    cores: tuple[str, ...]
    remedies: tuple[Remedy, ...]
    source: str
    context: tuple[str, ...] = ()
    tells_apart: str | None = None
    look: str | None = None
    checks: tuple[str, ...] = ()
    check_says: str = ""
    explains: tuple[str, ...] = ()
    see_also: tuple[str, ...] = ()


@cache
def families() -> dict[str, Family]:
    """Returns the families by id, layer by layer."""

    def make(remedies: tuple[dict[str, Any], ...], **row: Any) -> Family:
        return Family(remedies=tuple(_remedy(**one) for one in remedies), **row)

    return {row.id: row for row in load("failures", make)}


def _remedy(text: str, commands: list[str] | None = None, disturbs: str = Disturbs.NOTHING) -> Remedy:
    return Remedy(text, tuple(commands or ()), Disturbs(disturbs))
