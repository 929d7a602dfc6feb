"""How hosts are taken out of service, as a person has asked for it and a run's folder keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuctl.frozen import dataclass
from gpuctl.host.decode import object_in, text_in, texts_in

SLURM, KUBERNETES = "slurm", "kubernetes"
SCHEDULERS = (SLURM, KUBERNETES)


@dataclass(frozen=True)
class DrainWish:
    """By a scheduler, or by a person's own commands, each of which is handed a host's name as its last word.

    `context`, `kubeconfig`: which cluster of Kubernetes it is, as kubectl has them.
    """

    scheduler: str | None = None
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    context: str | None = None
    kubeconfig: str | None = None


def as_document(wish: DrainWish | None) -> dict[str, Any] | None:
    """Returns a wish as `wish_in` reads it."""
    if wish is None:
        return None
    commands = {"before": wish.before, "after": wish.after}
    return {"scheduler": wish.scheduler, **commands, "context": wish.context, "kubeconfig": wish.kubeconfig}


def wish_in(found: Mapping[str, Any], name: str) -> DrainWish | None:
    """Returns the wish that is a member of a document, None for none. Raises ValueError."""
    told = object_in(found, name)
    if not told:
        return None
    commands = texts_in(told, "before"), texts_in(told, "after")
    wish = DrainWish(text_in(told, "scheduler"), *commands, text_in(told, "context"), text_in(told, "kubeconfig"))
    if wish.scheduler not in (None, *SCHEDULERS):
        raise ValueError(f"{wish.scheduler[:40]!r} is no scheduler that gpuctl drains")
    return wish
