"""Names that tools and people have for what is no whole board: a vGPU, a MIG slice, a name that was cut short.

What lspci prints (the chip and the name), and a number without its series.

Source: the profiles in https://docs.nvidia.com/vgpu/latest/grid-vgpu-user-guide/ ("Virtual GPU Types").
"""

from __future__ import annotations

import re

from gpuctl.frozen import dataclass
from gpuctl.regex import regex

# GRID T4-16Q, NVIDIA A100-1-5CME, GRID T4-1B4: board, slices, GB of memory, series.
_PROFILE = regex(r"(?:(?:NVIDIA|GRID)\s+)*(.+?)-(?:[0-9]-)?[0-9]{1,3}([ABCQ])[0-9]?(?:ME|GFX|NOME)?", re.IGNORECASE)
_KEPLER = regex(r"(GRID\s+K[12])[0-9]{2}Q?", re.IGNORECASE)
_SLICE = regex(r"\s+MIG\s+(?:[0-9]c\.)?[0-9]g\.[0-9]+gb\S*$|\s*\(nvgpu\)$", re.IGNORECASE)
_CUT = regex(r"\s*(?:\.\.\.|…)$")
_LSPCI = regex(
    r"(?:.*NVIDIA Corporation\s+)?((?:G[A-Z]|TU|AD)[0-9]{2,3}[A-Z]*)\s*\[([^\]]+)\](?:\s*\(rev [0-9a-f]+\))?",
    re.IGNORECASE,
)
_DIGIT_FIRST = ("GeForce RTX", "GeForce GTX", "GeForce GT")
"""The series of boards that people call by their number alone: 4070 super."""
_BOARD_LETTERS = regex(r"[A-Z]{1,2}$", re.IGNORECASE)
_SERIES_BRANDS = {"Q": "vws", "C": "vcs", "B": "vpc", "A": "vapps"}
_GRES = regex(r"(?:gres/)?gpu:([^:=()]*[a-z][^:=()]*)(?:[:=][0-9]+)?(?:\(.*\))?", re.IGNORECASE)
"""Slurm's gpu:a100:4, gpu:tesla_v100:8(S:0-1) and gres/gpu:a100=4. Source: https://slurm.schedmd.com/gres.html"""
# \xd7 is the sign of multiplication.
_COUNTED = regex(r"[1-9][0-9]{0,3}\s*[x\xd7*]\s*(?=\w)", re.IGNORECASE)
_TIMES = regex(r"\s+[x\xd7*]\s*[0-9]{1,4}$|\s*\([x\xd7]?\s*[0-9]{1,4}\s*[x\xd7]?\)$", re.IGNORECASE)
_CAPABILITY = regex(r"(?:sm|compute|cc|compute capability)[\s_-]*([0-9]{1,2})\.?([0-9])[af]?", re.IGNORECASE)
LONGEST_NAME = 200
"""Letters. No NVIDIA GPU has a longer name."""
BRAND_BEFORE_460 = "grid"
"""What NVML of older drivers says of every vGPU."""


@dataclass(frozen=True)
class Name:
    """What a name says: how the board may be called, likeliest first.

    `brand` is that of a vGPU, None for a board. `cut`: the first of `boards` is only a name's beginning. `chip` is what
    lspci prints before it, "" where nothing tells.
    """

    boards: tuple[str, ...]
    brand: str | None = None
    cut: bool = False
    chip: str = ""


def one_of(text: str) -> str:
    """Returns the name of one GPU where an inventory or a scheduler names several, or a request for some.

    "A100" of 8x A100 and of A100 (x4), "a100" of Slurm's gpu:a100:4.
    """
    named = text[:LONGEST_NAME].strip()
    asked = _GRES.fullmatch(named)
    bare = asked[1] if asked else named
    counted = _COUNTED.match(bare)
    return _TIMES.sub("", bare[counted.end() :] if counted else bare)


def capability_named(text: str) -> str | None:
    """Returns the compute capability that a compiler's option names: "8.9" of sm_89, "12.0" of compute_120."""
    named = _CAPABILITY.fullmatch(text)
    return f"{named[1]}.{named[2]}" if named else None


def read_name(text: str) -> Name:
    """Returns what a name says. One that is a board's whole name says itself."""
    whole = _SLICE.sub("", one_of(text))
    listed = _LSPCI.fullmatch(whole)
    if listed:
        return Name((listed[2], *listed[2].split(" / ")), chip=listed[1].upper())
    kepler, profile = _KEPLER.fullmatch(whole), _PROFILE.fullmatch(whole)
    if kepler:
        return Name((kepler[1],), BRAND_BEFORE_460)
    if profile:
        return Name(tuple(_boards(profile[1])), _SERIES_BRANDS[profile[2].upper()])
    stem = _CUT.sub("", whole)
    # The last word may be half of one that says nothing: NVIDIA H100 PC...
    if stem != whole:
        return Name((stem, stem.rpartition(" ")[0]), cut=True)
    return Name((whole, *(f"{series} {whole}" for series in _DIGIT_FIRST if whole[:1].isdigit())))


def _boards(board: str) -> list[str]:
    """A profile writes RTX6000-Ada for RTX 6000 Ada Generation, RTX6000 for Quadro RTX 6000, A100D for A100's 80 GB."""
    bare = re.sub(r"Blackwell\s*DC$", " Blackwell Server Edition", board, flags=re.IGNORECASE)
    shorter = _BOARD_LETTERS.sub("", board)
    found = (bare, f"Quadro {board}", f"{board} Generation", shorter, f"Quadro {shorter}")
    return [one for one in dict.fromkeys(found) if any(letter.isdigit() for letter in one)]
