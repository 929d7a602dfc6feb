"""The nodes of a Slurm partition, as its own tools name them."""

from __future__ import annotations

from gpuctl.host.act.process import ask_program

DEADLINE = 30.0
"""Seconds. slurmctld answers at once, or is being restarted."""


def nodes(partition: str) -> tuple[str, ...]:
    """Returns the names of a partition's nodes (sinfo(1)). Raises ValueError where there are none, and why."""
    said = ask_program(["sinfo", "--noheader", "--Node", "--format=%N", f"--partition={partition}"], "", DEADLINE)
    if not said.ok:
        raise ValueError(f"Slurm cannot be asked: {said.detail}")
    if said.code:
        raise ValueError(f"sinfo says: {' '.join(said.detail.split())[:200]}")
    found = tuple(dict.fromkeys(said.text.split()))
    if not found:
        raise ValueError(f"Slurm knows no nodes of a partition {partition}")
    return found
