"""NVIDIA's CUDA images (nvidia/cuda): which tags exist, and which of them a driver runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from gpuctl.compat.gpus import Gpu
from gpuctl.compat.judge import verdict_on
from gpuctl.compat.rulings import resolve_cuda
from gpuctl.compat.tables import load
from gpuctl.compat.versions import parts
from gpuctl.model import Verdict

REPOSITORY = "nvidia/cuda"
# doc/README.md of https://gitlab.com/nvidia/container-images/cuda; holds for every tag that was ever listed.
_TAG = re.compile(
    r"(?P<cuda>[0-9]+\.[0-9]+(?:\.[0-9]+)?)(?:-(?:cudnn[0-9]*|tensorrt))?"
    r"-(?:base|runtime|devel)(?:-rc)?(?:-[a-z]+[0-9.]*)?"
)
_RANKS = {Verdict.COMPATIBLE: 0, Verdict.LIMITED: 1}


@dataclass(frozen=True)
class CudaImages:
    """The tags of one CUDA version on one operating system. `os` is None for the old tags that name none.

    `status` is that of 2025-08-18, the last official lists: supported, unsupported (may be deleted), delisted (on
    neither list any more); `seen` is newer than the lists and known from public Dockerfiles.
    """

    cuda: str
    os: str | None
    flavours: tuple[str, ...]
    status: str
    first_listed: str | None
    last_listed: str | None
    source: str
    note: str | None = None

    def reference(self, flavour: str) -> str:
        """Returns what to pull: "nvidia/cuda:12.4.1-base-ubuntu22.04"."""
        return f"{REPOSITORY}:{self.cuda}-{flavour}" + (f"-{self.os}" if self.os else "")


@cache
def cuda_images() -> tuple[CudaImages, ...]:
    """Returns every CUDA version and operating system that NVIDIA listed, oldest CUDA first."""
    return load("images", CudaImages)


def newest_base_images(driver: str, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """Returns the base images that the driver runs on these GPUs, best first; none without a GPU.

    Without limits before with limits, still listed before delisted, newest CUDA first, Ubuntu (newest first) before the
    others. `driver` is dotted numbers.
    """
    if not gpus:
        return ()
    bases = [images for images in cuda_images() if "base" in images.flavours]
    verdicts = {cuda: verdict_on(resolve_cuda(cuda), driver, gpus) for cuda in dict.fromkeys(row.cuda for row in bases)}
    runnable = [images for images in bases if verdicts[images.cuda] in _RANKS]
    newest = sorted(runnable, key=lambda images: (parts(images.cuda), *_newest_ubuntu_last(images.os)), reverse=True)
    best = sorted(newest, key=lambda images: (_RANKS[verdicts[images.cuda]], images.status == "delisted"))
    return tuple(images.reference("base") for images in best)


def _newest_ubuntu_last(os: str | None) -> tuple[bool, str]:
    return (os or "").startswith("ubuntu"), os or ""


def cuda_of_tag(reference: str) -> str | None:
    """Returns the CUDA version of an image of NVIDIA's, "10.1" of nvidia/cuda:10.1-base-centos7; None for any other."""
    repository, _, tag = reference.partition(":")
    match = _TAG.fullmatch(tag)
    ours = repository in (REPOSITORY, f"docker.io/{REPOSITORY}", f"nvcr.io/{REPOSITORY}")
    return match["cuda"] if ours and match else None
