"""What the commands of a remedy leave blank, where a text or the host it is of tells it: BRANCH, CAPABILITY.

A number that is told of something else mends nothing: what a program asks for, or lists, is no fact of the host, and
where several numbers are told nobody says which is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.compat.tables.loader import architectures, driver_branch
from gpuctl.diagnose.answer import Match
from gpuctl.model import Remedy

if TYPE_CHECKING:
    from gpuctl.facts.gather import Facts

BRANCH, CAPABILITY = "BRANCH", "CAPABILITY"
_DRIVER = re.compile(
    r"(?:driver(?: is| has)?(?: the)?(?: version)?|kmd version|kernel module(?: has the version)?|nvidia-smi)"
    r"[ \t:=]{1,20}v?([0-9]{3})\.[0-9]{2,3}(?:\.[0-9]{2})?(?![0-9.])",
    re.IGNORECASE,
)
_CAPABILITY = re.compile(
    r"(?:with cuda capability|of cuda capability|compute capability:?|compute_cap:?) (?:sm_)?([0-9]{1,2})\.?([0-9])\b",
    re.IGNORECASE,
)
_PART = re.compile(r"\n|(?<=\w)[.;,] ")
"""Between what a text says of one thing and of the next."""
_ASKED_FOR = re.compile(
    r">=|requir|\bneed|minimum|at least|or (?:later|newer|higher|above)|built for|supports?\b", re.IGNORECASE
)
"""Words beside a number that is asked for, or listed, and need not be there."""


def told_by_text(text: str) -> dict[str, str]:
    """Returns what a text says of the driver that is there and of its GPU, by the name of the blank."""
    said = [part for part in _PART.split(text) if not _ASKED_FOR.search(part)]
    branches = {found[1] for part in said for found in _DRIVER.finditer(part)}
    capabilities = {f"{found[1]}.{found[2]}" for part in said for found in _CAPABILITY.finditer(part)}
    known = {one for one in capabilities if one in architectures()}
    return {**_the_one(BRANCH, filter(driver_branch, branches)), **_the_one(CAPABILITY, known)}


def told_by_host(facts: Facts) -> dict[str, str]:
    """Returns what a host says of its driver and of its GPUs, by the name of the blank."""
    from gpuctl.facts.gpu.driver import Driver  # for a text from elsewhere no host is asked

    driver = facts.get(Driver)
    if not isinstance(driver, Driver):
        return {}
    branches = {driver.version.value.partition(".")[0]} if driver.version.value else set()
    capabilities = {gpu.compute_capability for gpu in driver.gpus.value or () if gpu.compute_capability}
    return {**_the_one(BRANCH, branches), **_the_one(CAPABILITY, capabilities)}


def filled_in(match: Match, told: Mapping[str, str]) -> Match:
    """Returns the match whose family's commands have what is told in the place of its blank."""
    remedies = tuple(_filled(remedy, told) for remedy in match.family.remedies)
    return replace(match, family=replace(match.family, remedies=remedies)) if told else match


def _filled(remedy: Remedy, told: Mapping[str, str]) -> Remedy:
    def change(text: str) -> str:
        for name, value in told.items():
            text = text.replace(name, value)
        return text

    return replace(remedy, commands=tuple(one.mapped(change) for one in remedy.commands))


def _the_one(name: str, values: Iterable[str]) -> dict[str, str]:
    told = list(values)
    return {name: told[0]} if len(told) == 1 else {}
