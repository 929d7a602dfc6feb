"""Which image to run when nobody names one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpuctl.compat.answer.answer import check_cuda
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.compat.knowledge.images import cuda_of_tag, newest_base_images
from gpuctl.compat.versions import parse_cuda
from gpuctl.model import Verdict


def choose_image(local: Iterable[str], driver: str, gpus: Sequence[Gpu]) -> str | None:
    """Returns the newest nvidia/cuda image among `local` that driver and GPUs run, else the newest base image of all.

    None when there is no image for this driver. A local one must be `compatible`: the toolkit may refuse a `limited`
    one, and that would say nothing of the host.
    """
    known = [(cuda, image) for image in local if (cuda := cuda_of_tag(image)) is not None]
    runnable = [one for one in known if check_cuda(one[0], driver, gpus).verdict is Verdict.COMPATIBLE]
    if runnable:
        return max(runnable, key=lambda one: (parse_cuda(one[0]), "-base" in one[1]))[1]
    return next(newest_base_images(driver, gpus), None)
