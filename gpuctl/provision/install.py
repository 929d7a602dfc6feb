"""Registering the NVIDIA runtime with an engine of this host."""

from __future__ import annotations

import re
from dataclasses import replace

from gpuctl.facts.gather import gather
from gpuctl.host.reading import Host
from gpuctl.provision.engines import ENGINES
from gpuctl.provision.recorder import cut_short
from gpuctl.provision.result import Result, Say, Wish
from gpuctl.provision.transaction import conduct

COMMAND = "install-runtime"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RESERVED = ("runc", "io.containerd.")


def check_name(name: str) -> str:
    """Returns the name. Raises ValueError for one that dockerd does not take for a runtime."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a runtime: use letters, digits, `_`, `.` and `-`")
    if name == _RESERVED[0] or name.startswith(_RESERVED[1]):
        raise ValueError(f"{name} is a runtime of Docker's own")
    return name


def install_runtime(host: Host, wish: Wish, say: Say) -> Result:
    """Returns how it ended; with `dry_run`, what would be done. Nothing is changed where nothing has to be."""
    engine = ENGINES[wish.engine or "docker"]
    facts = gather(host, engine.subjects)
    result = conduct(host, COMMAND, wish, lambda: engine.plan(host, facts, wish), say)
    return replace(result, notes=(*result.notes, *_about_cut_short(host)))


def _about_cut_short(host: Host) -> tuple[str, ...]:
    """Another run that was cut short is none of this one's business, but the person's."""
    return tuple(
        f"The run {run.id} (gpuctl {run.command}) was cut short. `gpuctl rollback` undoes what it had begun."
        for run in cut_short(host)
    )
