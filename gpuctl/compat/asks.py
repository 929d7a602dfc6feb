"""What asks for a CUDA version, and in whose name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ask:
    """A CUDA version that something was built for.

    `cuda` is as `rulings.resolve_cuda` takes it. `by` names what asks ("pytorch 2.4.0+cu121"), `source` the document
    that says so. `others` are the CUDA versions of other builds of the same thing. `min_compute_capability`: it holds
    code for no older GPU; None: not known.
    """

    cuda: str
    by: str
    source: str
    others: tuple[str, ...] = ()
    min_compute_capability: str | None = None
