"""The engines that gpuctl can set up, and which of them is meant on a host. Each is loaded when it is needed."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from importlib import import_module

from gpuctl.checks.engine_here import is_engine, other_here
from gpuctl.checks.remedies import as_root
from gpuctl.command import command, operands
from gpuctl.facts.containerd.containerd import Containerd
from gpuctl.facts.crio import Crio
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gather import Facts, gather
from gpuctl.facts.machine.system import System
from gpuctl.facts.podman import Podman
from gpuctl.facts.toolkit.cdi import FOLDERS
from gpuctl.host.look.reading import Host
from gpuctl.host.write.files import behind_links
from gpuctl.model import ENGINES, Remedy
from gpuctl.provision.change_set import Engine, RunningEngine, Show
from gpuctl.provision.result import Wish


def engine_of(name: str) -> Engine:
    """Returns the engine of that name. Raises KeyError."""
    if name not in ENGINES:
        raise KeyError(name)
    found: Engine = getattr(import_module(f"gpuctl.provision.engines.{name}.{name}"), name.upper())
    return found


def show_of(engine: str, path: str) -> Show:
    """Returns how changes of an engine's file are shown: a CDI specification, whichever engine it is for, as one.

    Raises KeyError.
    """
    if posixpath.dirname(path) in (*FOLDERS, *map(behind_links, FOLDERS)):
        from gpuctl.provision.engines.cdi import diff

        return diff
    return engine_of(engine).show


def found_engine(host: Host) -> tuple[str, Facts]:
    """Returns the engine that is meant where none is named, and the facts by which it was found.

    It is Docker, else the one that runs or lies here; Docker too where there is none at all.
    """
    facts = gather(host, (Docker,))
    docker = facts.get(Docker)
    if not docker or is_engine(docker):
        return "docker", facts
    facts |= gather(host, (Containerd, Crio, Podman))
    containerd = facts.get(Containerd)
    lies_here = "containerd" if containerd and containerd.program.value else "docker"
    return other_here(facts) or lies_here, facts


def reader(host: Host, name: str, paths: Sequence[str]) -> RunningEngine | None:
    """Returns the engine's daemon that runs now and reads one of these files; None where none does."""
    if name not in ENGINES:
        return None
    engine = engine_of(name)
    daemon = engine.running(host, gather(host, engine.subjects))
    return daemon if daemon is not None and any(map(daemon.reads, paths)) else None


def untold(daemon: RunningEngine | None, wish: Wish, paths: Sequence[str]) -> tuple[str, ...]:
    """Returns why nothing was verified, where nobody is told of these files."""
    if daemon is not None:
        return ()
    if paths and {posixpath.dirname(path) for path in paths} <= set(map(behind_links, FOLDERS)):
        return ("Engines read CDI specifications for every container anew: nobody has to be told.",)
    return ("No engine that runs here reads it. Nothing was verified." if wish.reload else "The engine was not told.",)


def restart(host: Host, daemon: RunningEngine | None) -> Remedy | None:
    """Returns the restart that rids a daemon of what was taken away, and says what that stops; None for none."""
    step = daemon.restarting if daemon else None
    if daemon is None or step is None or daemon.unit is None:
        return None
    system = gather(host, (System,)).known(System)
    words = f"{step.text[0].upper()}{step.text[1:]}."
    return Remedy(words, as_root(system, command("systemctl", "restart", *operands(daemon.unit))), step.disturbs)
