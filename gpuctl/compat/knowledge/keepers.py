"""Who keeps a host's driver, and by which way one comes from each: knowledge from data/keepers.jsonl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from gpuctl.command import Command
from gpuctl.compat.knowledge.install_commands import filled_commands
from gpuctl.compat.tables.command_rows import Words, parse_commands
from gpuctl.compat.tables.loader import load
from gpuctl.frozen import dataclass

NVIDIA = "nvidia-repository"
"""The keeper whose way is that of a host without any driver: data/install_commands.jsonl has it by distribution."""

OPERATOR = "gpu-operator"
JETPACK = "jetpack"
GUEST = "host-of-guest"
_LTS = "lts"
"""How the tags of Universal Blue's images on CentOS begin, which have other names for those with a driver:
https://docs.projectbluefin.io/gdx/."""
OLDEST_OF_ALL = 580
"""The branch that those still have, at least, who are not known to have gone beyond it."""


@dataclass(frozen=True)
class KeeperRow:
    """`way` and `commands` bring a driver; `module_way` and `module_commands` only its module for a kernel.

    `older_way` and `older_commands` are the way to a driver for GPUs that the newest branch has left behind, in the
    branches that the keeper still has: {last} is theirs. `by_hardware`: its way chooses by the GPUs itself.
    `packages` says how anything else gets onto a system that comes as an image, and `settings` how the engines there
    are told anything, where their files are not to be edited. `signing_key`:
    the public key of its modules' signatures, for firmware with Secure Boot. `apart`: the driver's libraries lie
    where the host's own programs do not look. `branch_of_release`: the only branch that a release of the distribution
    has; `newer_way` is that to a branch beyond it, or beyond what any such host can change by itself. `images`: which
    of its images has the driver, by the one that has not; `older_images` for GPUs that the newest branch has left
    behind; `image_commands` go from one to the other.
    """

    keeper: str
    title: str
    way: str
    commands: tuple[Command, ...]
    source: str
    module_way: str | None = None
    module_commands: tuple[Command, ...] = ()
    older_way: str | None = None
    older_commands: tuple[Command, ...] = ()
    older_branches: tuple[str, ...] = ()
    by_hardware: bool = False
    packages: str | None = None
    settings: str | None = None
    signing_key: str | None = None
    apart: bool = False
    branch_of_release: tuple[tuple[str, str], ...] = ()
    newer_way: str | None = None
    images: Mapping[str, str] | None = None
    older_images: Mapping[str, str] | None = None
    image_commands: tuple[Command, ...] = ()


@cache
def keepers() -> Mapping[str, KeeperRow]:
    """Returns the keepers by id."""
    return {row.keeper: row for row in load("keepers", _row)}


def _row(
    commands: Sequence[Words],
    module_commands: Sequence[Words] = (),
    older_commands: Sequence[Words] = (),
    older_branches: Sequence[str] = (),
    branch_of_release: Sequence[Sequence[str]] = (),
    image_commands: Sequence[Words] = (),
    **fields: Any,
) -> KeeperRow:
    return KeeperRow(
        commands=parse_commands(commands),
        module_commands=parse_commands(module_commands),
        older_commands=parse_commands(older_commands),
        older_branches=tuple(older_branches),
        branch_of_release=tuple((release, branch) for release, branch in branch_of_release),
        image_commands=parse_commands(image_commands),
        **fields,
    )


def way_of(
    row: KeeperRow, module: bool, last: str | None, root: bool, values: Mapping[str, str]
) -> tuple[str, tuple[Command, ...]]:
    """Returns the sentence and the commands by which a driver comes from a keeper, or only its `module`.

    `last`: the last branch that drives the GPUs, None where the newest does. Without commands where one of their values
    is not known, or the keeper is not known to have that branch.
    """
    if module and row.module_way is not None:
        return row.module_way, filled_commands(row.module_commands, values, root)
    if last is None or row.by_hardware or not (row.older_way or row.commands):
        return row.way, filled_commands(row.commands, values, root)
    if last in row.older_branches and row.older_way:
        commands = filled_commands(row.older_commands, {**values, "last": last}, root)
        return row.older_way.format(last=last), commands
    if row.older_way is None and int(last) >= OLDEST_OF_ALL:
        return row.way, filled_commands(row.commands, values, root)
    return f"Branch {last} is the last that drives these GPUs: see whether {row.title} still has it.", ()


def way_beyond(row: KeeperRow, release: str, branch: str) -> str | None:
    """Returns the sentence that leads to a driver branch which the keeper does not have on a release of its
    distribution; None where it may have it.
    """
    has = dict(row.branch_of_release).get(release)
    within = has is None or int(branch) <= int(has) if row.branch_of_release else False
    return None if row.newer_way is None or within else row.newer_way.format(release=release, has=has)


def image_with_driver(row: KeeperRow, reference: str, tag: str, last: str | None) -> str | None:
    """Returns the address of the image with the driver that belongs to one without; None where no such is known.

    `last`: the last branch that drives the GPUs, None where the newest does.
    """
    images = row.images if last is None else row.older_images
    instead = images.get(reference) if images else None
    return f"{instead}:{tag}" if instead and not tag.startswith(_LTS) else None
