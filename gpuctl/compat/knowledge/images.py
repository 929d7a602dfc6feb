"""NVIDIA's CUDA images (nvidia/cuda): which tags exist, and which of them a driver runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from itertools import product
from typing import TYPE_CHECKING

from gpuctl.compat.tables.loader import load
from gpuctl.compat.versions import Version, minor_of, parts
from gpuctl.frozen import dataclass
from gpuctl.model import Verdict
from gpuctl.regex import regex

if TYPE_CHECKING:
    from gpuctl.compat.knowledge.gpus.gpus import Gpu

REPOSITORY = "nvidia/cuda"
_REGISTRIES = ("", "docker.io/", "index.docker.io/", "nvcr.io/")
# doc/README.md of https://gitlab.com/nvidia/container-images/cuda; holds for every tag that was ever listed.
_TAG = regex(
    r"(?P<cuda>[0-9]+\.[0-9]+(?:\.[0-9]+)?)(?:-(?P<library>cudnn[0-9]*|tensorrt))?"
    r"-(?P<flavour>base|runtime|devel)(?:-rc)?(?:-(?P<os>[a-z]+[0-9.]*))?"
)
_BARE_CUDNN = 9
"""The cuDNN of tags that say no number, which is what those from CUDA 12.4.1 on do (the same README)."""
_EXAMPLE = "12.4.1-base-ubuntu22.04"
_RUNNABLE = (Verdict.COMPATIBLE, Verdict.LIMITED)


@dataclass(frozen=True)
class CudaImages:
    """The tags of one CUDA version on one operating system. `os` is None for the old tags that name none.

    `status` is that of 2025-08-18, the last official lists: supported, unsupported (may be deleted), delisted (on
    neither list any more: deleted or due to be); `seen` is newer than the lists and known from public Dockerfiles.
    NVIDIA's dates for deletions have slipped: `deletion_planned` is no proof.
    """

    cuda: str
    os: str | None
    flavours: tuple[str, ...]
    status: str
    first_listed: str | None
    last_listed: str | None
    source: str
    deletion_planned: str | None = None
    seen: str | None = None
    note: str | None = None

    @property
    def as_of(self) -> str:
        """The day (or, of tags that were only seen, the month) to which the status belongs."""
        return self.last_listed or self.seen or ""

    def reference(self, flavour: str) -> str:
        """Returns what to pull: "nvidia/cuda:12.4.1-base-ubuntu22.04"."""
        return f"{REPOSITORY}:{self.cuda}-{flavour}" + (f"-{self.os}" if self.os else "")


@cache
def cuda_images() -> tuple[CudaImages, ...]:
    """Returns every CUDA version and operating system that NVIDIA listed, oldest CUDA first."""
    return load("images", CudaImages)


def last_official_list() -> str:
    """Returns the day of NVIDIA's last lists of supported and unsupported tags that the table rests on."""
    return max(images.last_listed or "" for images in cuda_images())


def newest_base_images(driver: str, gpus: Iterable[Gpu]) -> Iterator[str]:
    """Yields the base images that the driver runs on these GPUs, best first; none without a GPU.

    Without limits before with limits, still listed before delisted, newest CUDA first, Ubuntu (newest first) before the
    others. `driver` is dotted numbers.
    """
    kinds = tuple(dict.fromkeys(gpus))
    for verdict, delisted in product(_RUNNABLE, (False, True)) if kinds else ():
        for images in _bases_newest_first():
            if (images.status == "delisted") is delisted and _verdict(images.cuda, driver, kinds) is verdict:
                yield images.reference("base")


@cache
def _bases_newest_first() -> list[CudaImages]:
    bases = (images for images in cuda_images() if "base" in images.flavours)
    return sorted(bases, key=lambda images: (parts(images.cuda), *newest_ubuntu_last(images.os)), reverse=True)


@lru_cache(maxsize=4096)
def _verdict(cuda: str, driver: str, gpus: tuple[Gpu, ...]) -> Verdict:
    """Hosts of a fleet differ in few of these."""
    from gpuctl.compat.judge.judge import verdict_on  # who asks for tags alone does not pay for the rules
    from gpuctl.compat.judge.rulings import resolve_cuda

    return verdict_on(resolve_cuda(cuda), driver, gpus)


def newest_ubuntu_last(os: str | None) -> tuple[bool, str, Version]:
    """Returns by what operating systems are sorted: Ubuntu behind the others, each by its version."""
    name = (os or "").rstrip("0123456789.")
    version = (os or "").removeprefix(name)
    return name == "ubuntu", name, parts(version) if version else ()


@dataclass(frozen=True)
class Tag:
    """What an nvidia/cuda tag says. `library` lies on top of the flavour: "cudnn8", "cudnn", "tensorrt"; None: nothing.

    `os` is None in old tags, which mean the Ubuntu of their time.
    """

    cuda: str
    library: str | None
    flavour: str
    os: str | None

    @property
    def cudnn(self) -> int | None:
        """The major version of cuDNN, None where the image has none."""
        if not self.library or not self.library.startswith("cudnn"):
            return None
        return int(self.library.removeprefix("cudnn") or _BARE_CUDNN)


def parse_tag(reference: str) -> Tag | None:
    """Returns what the tag of an image of NVIDIA's says; None for any other image, and for a tag of another shape.

    A registry's name before it (docker.io, nvcr.io) and a digest behind it are allowed.
    """
    repository, _, tag = reference.partition("@")[0].rpartition(":")
    match = _TAG.fullmatch(tag)
    if match is None or repository not in {registry + REPOSITORY for registry in _REGISTRIES}:
        return None
    return Tag(match["cuda"], match["library"], match["flavour"], match["os"])


def is_cuda_image(reference: str) -> bool:
    """Returns whether a reference names NVIDIA's CUDA images, whatever its tag."""
    name = reference.partition("@")[0]
    repository = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
    return repository in {registry + REPOSITORY for registry in _REGISTRIES}


def lacks_tag(reference: str) -> str | None:
    """Returns that NVIDIA's CUDA images have no such tag, and which they have: a sentence. None: there may be one.

    Every tag names a flavour; since "latest" was removed none moves.
    """
    if not is_cuda_image(reference) or "@" in reference:
        return None
    if parse_tag(reference):
        return _on_no_list(reference)
    tag = reference.rpartition("/")[2].partition(":")[2] or "latest"
    rows = [row for row in cuda_images() if row.cuda == tag and row.os]
    if not rows:
        since = ", which NVIDIA removed" if tag == "latest" else ""
        belongs = f"its tags name CUDA, a flavour and an operating system, as {_EXAMPLE} does"
        return f"{REPOSITORY} has no tag {tag}{since}: {belongs}."
    flavours = dict.fromkeys(flavour for row in rows for flavour in row.flavours)
    systems = dict.fromkeys(row.os for row in rows)
    there = f"{tag}-{next(iter(flavours))}-{rows[-1].os}"
    return (
        f"{REPOSITORY} has no tag {tag} alone: a flavour ({', '.join(flavours)}) and an operating system "
        f"({', '.join(filter(None, systems))}) belong to it, as in {there}."
    )


@cache
def _newest_listed() -> Version:
    """The newest CUDA version of which a list has tags."""
    return max(parts(row.cuda) for row in cuda_images() if row.last_listed)


def _on_no_list(reference: str) -> str | None:
    tag = parse_tag(reference)
    if tag is None or listed(reference) or parts(tag.cuda) > _newest_listed():
        return None
    return f"{reference} is on no list of NVIDIA's tags up to {last_official_list()}.{_instead(reference)}"


def delisted(reference: str) -> str | None:
    """Returns that NVIDIA took a tag off its lists, and which one is on them: a sentence. None for any other image."""
    row = listed(reference) if "@" not in reference else None
    if row is None or row.status != "delisted":
        return None
    why = f"was last listed by NVIDIA on {row.last_listed}: it is deleted, or about to be"
    return f"{reference} {why}.{_instead(reference)}"


def _instead(reference: str) -> str:
    tag = same_minor(reference)
    return f" {REPOSITORY}:{tag} is listed." if tag else ""


@lru_cache(maxsize=64)
def _of_minor(cuda: str) -> tuple[CudaImages, ...]:
    """The rows of a CUDA version's minor version, and maybe of others."""
    return load("images", CudaImages, '"' + ".".join(cuda.split(".")[:2]))


@lru_cache(maxsize=1024)
def listed(reference: str) -> CudaImages | None:
    """Returns the row of a tag of NVIDIA's; None for a tag that the table does not have, and for any other image."""
    tag = parse_tag(reference)
    name = f"{REPOSITORY}:{reference.partition('@')[0].rpartition(':')[2]}"
    rows = _of_minor(tag.cuda) if tag else ()
    return next((row for row in rows if any(row.reference(flavour) == name for flavour in row.flavours)), None)


@lru_cache(maxsize=1024)
def same_minor(reference: str) -> str | None:
    """Returns the supported tag of the same CUDA minor version, flavour and system, which has the newest update.

    None where there is none, and for an image that is none of NVIDIA's.
    """
    tag = parse_tag(reference)
    if tag is None or tag.os is None:
        return None
    minor = minor_of(tag.cuda)
    flavour = f"{tag.library}-{tag.flavour}" if tag.library else tag.flavour
    rows = [row for row in _of_minor(tag.cuda) if minor_of(row.cuda) == minor]
    fitting = (row for row in rows if row.os == tag.os and row.status == "supported" and flavour in row.flavours)
    newest = max(fitting, key=lambda row: parts(row.cuda), default=None)
    return newest.reference(flavour).partition(":")[2] if newest else None


def cuda_of_tag(reference: str) -> str | None:
    """Returns the CUDA version of an image of NVIDIA's, "10.1" of nvidia/cuda:10.1-base-centos7; None for any other."""
    tag = parse_tag(reference)
    return tag.cuda if tag else None
