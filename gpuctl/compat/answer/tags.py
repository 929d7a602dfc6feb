"""The tags of nvidia/cuda that a person asks for, with what a driver and GPUs make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

from gpuctl.compat.answer.driver_choice import driver_floors
from gpuctl.compat.ask.question import Machine
from gpuctl.compat.judge.judge import verdict_with
from gpuctl.compat.judge.rulings import resolve_cuda
from gpuctl.compat.knowledge.gpus.gpus import gpu_of_every_kind
from gpuctl.compat.knowledge.images import CudaImages, Tag, cuda_images, newest_ubuntu_last, parse_tag
from gpuctl.compat.knowledge.jetpack import of_tegra
from gpuctl.compat.tables.loader import load
from gpuctl.compat.versions import minor_of, parse_cuda, parts
from gpuctl.frozen import dataclass
from gpuctl.model import Verdict

SCREENFUL = 10
RUNS = (Verdict.COMPATIBLE, Verdict.LIMITED, Verdict.NEEDS_PACKAGE)
"""The verdicts of an image that runs: nvidia/cuda images carry the package that needs-package asks for."""
_HELPFUL = (*RUNS, Verdict.UNKNOWN, Verdict.INCOMPATIBLE)
_FLAVOURS = ("base", "runtime", "devel")


@dataclass(frozen=True)
class Flavour:
    """What a flavour of nvidia/cuda contains, and when to take it."""

    flavour: str
    contains: str
    take_it: str
    source: str


@cache
def image_flavours() -> tuple[Flavour, ...]:
    """Returns base, runtime and devel, each holding the one before, then what may lie on top."""
    return load("image_flavours", Flavour)


@dataclass(frozen=True)
class OtherImage:
    """An image that may fit better than nvidia/cuda. `cuda` is None where that depends on the tag."""

    image: str
    fits: str
    source: str
    cuda: str | None = None
    caveat: str | None = None


@cache
def other_images() -> tuple[OtherImage, ...]:
    """Returns the other images."""
    return load("other_images", OtherImage)


@dataclass(frozen=True)
class Wanted:
    """Which tags: of a CUDA version (12, 12.4 or 12.4.1), a flavour, with cuDNN, of an operating system. None: any."""

    cuda: str | None = None
    flavour: str | None = None
    cudnn: bool = False
    os: str | None = None


@dataclass(frozen=True)
class Image:
    """A tag and its table row. `verdict` is None where there is no driver to judge by.

    `lowest_driver` then is the lowest that runs it on the GPUs in question, None where these are not known either.
    """

    reference: str
    tag: Tag
    row: CudaImages
    verdict: Verdict | None
    lowest_driver: str | None


@dataclass(frozen=True)
class ImageList:
    """Tags that fit and run, newest first; `more` do as well, and `not_running` fit only.

    Where none is sure to run, `images` are those of which nothing is known. `best` is, of the newest minor version
    that runs without limits, is still listed and has more than devel (or what comes nearest to that), the smallest.
    """

    images: tuple[Image, ...]
    more: int
    not_running: int
    best: Image | None


def list_images(wanted: Wanted, machine: Machine, everything: bool = False) -> ImageList:
    """Returns the tags: one of each kind, at most a screenful, or all of them with `everything`.

    Raises ValueError where what is wanted does not exist: no CUDA version, an unknown system, base with cuDNN.
    """
    fitting = [_image(row, flavour, machine) for row, flavour in _fitting(wanted)]
    running = [image for image in fitting if image.verdict in RUNS]
    open_ones = [
        image for image in fitting if image.verdict in (None, Verdict.UNKNOWN) and not _hopeless(image, machine)
    ]
    offered = sorted(running or open_ones, key=_newest_last, reverse=True)
    by_worth = sorted(offered, key=_smallest_last, reverse=True)
    of_each = sorted(_one_of_each(by_worth, wanted)[:SCREENFUL], key=_newest_last, reverse=True)
    chosen = offered if everything else of_each
    best = min(by_worth, key=_rank, default=None)
    return ImageList(tuple(chosen), len(offered) - len(chosen), len(fitting) - len(offered), best)


def newest_image(cuda: str | None, driver: str, machine: Machine) -> str | None:
    """Returns the best tag that a driver runs, of a CUDA version (None: of any); None where none is known."""
    found = list_images(Wanted(cuda), Machine(driver, machine.gpus, machine.open_module)).best
    return found.reference if found and found.verdict in RUNS else None


def image_verdict(cuda: str, machine: Machine) -> Verdict | None:
    """Returns whether an image of a CUDA version runs: None without a driver, and without a GPU whether it may."""
    if machine.driver is None:
        return None
    version, driver = resolve_cuda(cuda), machine.driver
    if machine.gpus:
        return verdict_with(version, driver, machine.gpus, machine.open_module)
    return min((verdict_with(version, driver, (gpu,)) for gpu in gpu_of_every_kind()), key=_HELPFUL.index)


def _rank(image: Image) -> tuple[int, bool, bool]:
    """How much speaks against an image: its verdict, that NVIDIA deletes it, a compiler in it that nobody asked for."""
    return _worth(image.verdict), image.row.status == "delisted", image.tag.flavour == "devel"


def _worth(verdict: Verdict | None) -> int:
    return _HELPFUL.index(verdict or Verdict.UNKNOWN)


def _fitting(wanted: Wanted) -> list[tuple[CudaImages, str]]:
    if wanted.cudnn and wanted.flavour == "base":
        raise ValueError("no base image has cuDNN: take --flavour runtime or devel")
    version = parse_cuda(wanted.cuda) if wanted.cuda is not None else ()
    fits_os = _os_filter(wanted.os)
    rows = (row for row in cuda_images() if parse_cuda(row.cuda)[: len(version)] == version and fits_os(row.os or ""))
    return [(row, flavour) for row in rows for flavour in row.flavours if _fits_flavour(row, flavour, wanted)]


def _fits_flavour(row: CudaImages, flavour: str, wanted: Wanted) -> bool:
    tag = _tag(row, flavour)
    return wanted.flavour in (None, tag.flavour) and (tag.cudnn is not None or not wanted.cudnn)


def _os_filter(os: str | None) -> Callable[[str], bool]:
    """By the beginning of the system's name, its dots left out as in NVIDIA's own directories (ubuntu2204)."""
    if os is None:
        return lambda name: True
    start = os.strip().lower().replace(".", "")
    known = sorted({row.os for row in cuda_images() if row.os}, key=newest_ubuntu_last)
    if not start or not any(_dotless(name).startswith(start) for name in known):
        raise ValueError(f"no image is for {os!r}; there are {', '.join(known)}")
    return lambda name: _dotless(name).startswith(start)


def _dotless(name: str) -> str:
    return name.replace(".", "")


@cache
def _tag(row: CudaImages, flavour: str) -> Tag:
    tag = parse_tag(row.reference(flavour))
    if tag is None:
        raise ValueError(f"{row.reference(flavour)} is no tag of nvidia/cuda")
    return tag


def _image(row: CudaImages, flavour: str, machine: Machine) -> Image:
    verdict = _verdict(row.cuda, machine)
    lowest = _lowest(row.cuda, machine) if machine.driver is None and machine.gpus else None
    return Image(row.reference(flavour), _tag(row, flavour), row, verdict, lowest)


@cache
def _verdict(cuda: str, machine: Machine) -> Verdict | None:
    return image_verdict(cuda, machine)


@cache
def _lowest(cuda: str, machine: Machine) -> str | None:
    floors = driver_floors(resolve_cuda(cuda), machine.gpus)
    return floors.get(Verdict.COMPATIBLE) or floors.get(Verdict.LIMITED)


def _hopeless(image: Image, machine: Machine) -> bool:
    """Whether it is known that no driver runs the image on these GPUs. Of a Jetson's no table tells."""
    told = bool(machine.gpus) and not of_tegra(gpu.compute_capability for gpu in machine.gpus)
    return machine.driver is None and told and image.lowest_driver is None


def _newest_last(image: Image) -> tuple[object, ...]:
    """The smallest flavour of the newest system of the newest CUDA version comes last."""
    return parts(image.row.cuda), *newest_ubuntu_last(image.row.os), *_smallness(image)


def _smallest_last(image: Image) -> tuple[object, ...]:
    """The same, but of a minor version the smallest flavour goes before the newest update, which may have it not.

    One without a compiler goes before the newest system as well.
    """
    slim, (name, release, version) = image.tag.flavour != "devel", newest_ubuntu_last(image.row.os)
    return minor_of(image.row.cuda), slim, name, release, version, *_smallness(image), parts(image.row.cuda)


def _smallness(image: Image) -> tuple[bool, int]:
    plain = image.tag.library is None and not image.reference.partition("-rc")[1]
    return plain, -_FLAVOURS.index(image.tag.flavour)


def _one_of_each(images: Sequence[Image], wanted: Wanted) -> list[Image]:
    """The best tag of each CUDA minor version; of each system where the version is given; of each flavour then too."""
    systems = {image.row.os for image in images}
    listed = [image for image in images if image.row.status != "delisted"]
    if not wanted.cuda or len(parse_cuda(wanted.cuda)) == 1:
        return _first_of(listed or images, lambda image: parse_cuda(image.row.cuda)[:2])
    if len(systems) > 1:
        return _first_of(listed or images, lambda image: image.row.os)
    return _first_of(listed or images, lambda image: (image.tag.library, image.tag.flavour))


def _first_of(images: Iterable[Image], kind: Callable[[Image], object]) -> list[Image]:
    first: dict[object, Image] = {}
    for image in images:
        first.setdefault(kind(image), image)
    return list(first.values())
