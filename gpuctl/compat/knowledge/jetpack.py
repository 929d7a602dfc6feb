"""Which CUDA runs on which Jetson: knowledge from data/jetpack.jsonl."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from gpuctl.compat.tables.loader import architectures, load
from gpuctl.compat.versions import parts
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

ARCHIVE = "https://developer.nvidia.com/embedded/jetpack-archive"
"""Where NVIDIA tells what each JetPack has: its driver is part of Jetson Linux."""
BOARDS: Mapping[str, str] = {
    "thor": "Jetson AGX Thor",
    "orin nano": "Jetson Orin Nano",
    "orin nx": "Jetson Orin NX",
    "orin": "Jetson AGX Orin",
    "xavier nx": "Jetson Xavier NX",
    "xavier": "Jetson AGX Xavier",
    "jetson-agx": "Jetson AGX Xavier",
    "tx2": "Jetson TX2",
    "quill": "Jetson TX2",
    "tx1": "Jetson TX1",
    "nano": "Jetson Nano",
}
"""Words in the name that a device tree gives its board, and the product; the first that fits counts."""
MOUNTS_CUDA_BEFORE = "34"
"""Up to JetPack 4 containers get the host's CUDA, and bring none: the images of one release fit that release alone.

Source: https://github.com/NVIDIA/libnvidia-container/blob/jetson/design/mount_plugins.md"""


_L4T_IN_TAG = regex(r"(?:^|-)r([0-9]{2}\.[0-9]+(?:\.[0-9]+)?)(?:-|$)")
"""Of images for Jetson the tag names the release of Jetson Linux: l4t-pytorch:r35.2.1-py3, dustynv/ros:x-r36.2.0.

Sources: https://catalog.ngc.nvidia.com/orgs/nvidia/containers/l4t-base, https://github.com/dusty-nv/jetson-containers"""


_OF_NVML = regex(r"540\.([45])\.0")
"""How nvidia-smi of Jetson Linux 36 numbers the driver, as far as it was seen beside /etc/nv_tegra_release.
Source: https://github.com/rylanpeng/jetson-orin-nano-pytorch-setup (540.5.0 on R36, REVISION: 5.0)"""
_WORDS = regex(r"[-_./:]|(?<=jetpack)[0-9]+")
_OF_JETSONS = frozenset(("jetson", "l4t", "jetpack", "igpu", "dustynv"))
"""Words of names and tags: deepstream-l4t:6.2-samples, pytorch:24.12-py3-igpu, ultralytics:latest-jetson-jetpack6.

Sources: https://docs.nvidia.com/deeplearning/frameworks/install-pytorch-jetson-platform-release-notes/ (iGPU: 23.11),
https://docs.ultralytics.com/guides/nvidia-jetson/"""


@dataclass(frozen=True)
class JetpackRow:
    """A release of Jetson Linux: its JetPack, the CUDA of its driver, those that a cuda-compat package adds.

    `boards`: the compute capabilities of the boards that releases of its first number are for; empty: not known.
    """

    l4t: str
    jetpack: str
    cuda: str
    source: str
    compat: tuple[str, ...] = ()
    boards: tuple[str, ...] = ()
    note: str | None = None


@cache
def jetpacks() -> tuple[JetpackRow, ...]:
    """Returns the releases, oldest first."""
    return load("jetpack", JetpackRow)


@cache
def by_first_number() -> Mapping[str, JetpackRow]:
    """Returns the newest release of each first number of Jetson Linux."""
    return {row.l4t.split(".")[0]: row for row in jetpacks()}


def jetpack_of(l4t: str) -> JetpackRow | None:
    """Returns the row of a release of Jetson Linux ("36.4.0" is 36.4), None for one that the table does not know."""
    return next((row for row in jetpacks() if _whole(row.l4t) == _whole(l4t)), None)


def l4t_of_nvml(driver: str) -> str | None:
    """Returns the release of Jetson Linux whose driver NVML numbers so: 36.4 (and its mended releases) of 540.4.0."""
    match = _OF_NVML.fullmatch(driver)
    return f"36.{match[1]}" if match else None


def l4t_of_image(reference: str) -> str | None:
    """Returns the release of Jetson Linux that an image's tag names: "35.2.1"; None for one that names none."""
    named = _L4T_IN_TAG.search(reference.partition("@")[0].rpartition(":")[2]) if is_for_jetson(reference) else None
    return named[1] if named else None


def is_for_jetson(reference: str) -> bool:
    """Returns whether an image's name or tag says that it is for Jetsons, and for no other GPU."""
    return not _OF_JETSONS.isdisjoint(_WORDS.split(reference.partition("@")[0]))


def of_tegra(capabilities: Iterable[str]) -> bool:
    """Returns whether one of the GPUs lies in a Tegra: JetPack brings its driver, and tables of drivers say nothing."""
    return any(row.integrated for one in capabilities if (row := architectures().get(one)))


def without_driver(capabilities: Iterable[str]) -> str:
    """Returns what to say where no driver is known to judge by, of a host whose GPUs, if known, have these."""
    known = tuple(capabilities)
    if of_tegra(known):
        return "A Jetson's driver comes with JetPack: gpuctl check --cuda X.Y tells what that runs."
    return f"No driver is known here to judge by: describe one with --driver{'' if known else ' and --gpu'}."


def _whole(release: str) -> tuple[int, ...]:
    return (*parts(release), 0, 0)[:3]


def product_of_board(model: str) -> str | None:
    """Returns the product that a device tree's board is, None for one that it does not tell.

    NVIDIA Jetson AGX Orin Developer Kit
    """
    return next((product for words, product in BOARDS.items() if words in model.lower()), None)
