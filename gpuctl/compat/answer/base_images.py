"""The tags of nvidia/cuda that all of several hosts run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuctl.compat.answer.tags import RUNS, Image, Wanted, list_images
from gpuctl.compat.ask.question import Machine
from gpuctl.model import Verdict

_WORST_LAST = (Verdict.COMPATIBLE, Verdict.LIMITED, Verdict.NEEDS_PACKAGE)


def images_for_all(wanted: Wanted, machines: Sequence[Machine]) -> tuple[Image, ...]:
    """Returns the tags that all machines run, best first: listed before delisted, without limits before with limits.

    Then the newest. The verdict of each is that of the machine that fares worst. Raises ValueError where what is wanted
    does not exist.
    """
    lists = [list_images(wanted, machine, everything=True).images for machine in machines]
    verdicts = [{image.reference: image.verdict for image in images} for images in lists]
    shared = [replace(image, verdict=_worst([one.get(image.reference) for one in verdicts])) for image in lists[0]]
    running = [image for image in shared if image.verdict in RUNS]
    return tuple(sorted(running, key=_rank))


def _worst(verdicts: Sequence[Verdict | None]) -> Verdict | None:
    return max(verdicts, key=lambda one: _WORST_LAST.index(one) if one in _WORST_LAST else len(_WORST_LAST))


def _rank(image: Image) -> tuple[bool, int]:
    return image.row.status == "delisted", _WORST_LAST.index(image.verdict) if image.verdict else len(_WORST_LAST)
