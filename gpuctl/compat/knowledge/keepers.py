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

JETPACK = "jetpack"


@dataclass(frozen=True)
class KeeperRow:
    """`way` and `commands` bring a driver; `module_way` and `module_commands` only its module for a kernel.

    `packages` says how anything else gets onto a system that comes as an image. `apart`: the driver's libraries lie
    where the host's own programs do not look.
    """

    keeper: str
    title: str
    way: str
    commands: tuple[Command, ...]
    source: str
    module_way: str | None = None
    module_commands: tuple[Command, ...] = ()
    packages: str | None = None
    apart: bool = False


@cache
def keepers() -> Mapping[str, KeeperRow]:
    """Returns the keepers by id."""
    return {row.keeper: row for row in load("keepers", _row)}


def _row(commands: Sequence[Words], module_commands: Sequence[Words] = (), **fields: Any) -> KeeperRow:
    return KeeperRow(commands=parse_commands(commands), module_commands=parse_commands(module_commands), **fields)


def way_of(row: KeeperRow, module: bool, root: bool, values: Mapping[str, str]) -> tuple[str, tuple[Command, ...]]:
    """Returns the sentence and the commands by which a driver comes from a keeper, or only its `module`.

    Without commands where one of their values is not known.
    """
    own = module and row.module_way is not None
    text = row.module_way if own and row.module_way else row.way
    return text, filled_commands(row.module_commands if own else row.commands, values, root)
