"""What every rewriting says: which GPUs are asked for, what was changed and why, what was left and why."""

from __future__ import annotations

from enum import Enum

from gpuctl.frozen import dataclass

ALL = "all"


@dataclass(frozen=True)
class Gpus:
    """The GPUs that a container asks for: their ids (indexes, UUIDs, MIG devices) or ("all",), or a number of any."""

    ids: tuple[str, ...] = (ALL,)
    count: int | None = None
    capabilities: tuple[str, ...] = ()
    """Words of NVIDIA_DRIVER_CAPABILITIES; empty: those that the image asks for."""


class Target(str, Enum):
    """What the rewritten command or file is for."""

    DOCKER = "docker"
    """19.03 and later: --gpus."""
    DOCKER_18_09 = "docker-18.09"
    """--runtime=nvidia and NVIDIA_VISIBLE_DEVICES."""
    DOCKER_CDI = "docker-cdi"
    """25 and later, with CDI: --device nvidia.com/gpu=…."""
    PODMAN = "podman"
    QUADLET = "quadlet"


@dataclass(frozen=True)
class Change:
    """A piece of a command or file that was replaced. `new` is empty where it only went; `line` counts from 1."""

    old: str
    new: str
    why: str
    line: int | None = None


@dataclass(frozen=True)
class Left:
    """A piece that stays as it is because gpuctl cannot decide it, and why."""

    text: str
    why: str
    line: int | None = None


@dataclass(frozen=True)
class Migration:
    """A command or file before and after, with each change and each piece that was left."""

    before: str
    after: str
    changes: tuple[Change, ...] = ()
    left: tuple[Left, ...] = ()
