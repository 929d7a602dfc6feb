"""The engines that gpuctl can set up, each in a file of its own, and which of them a host has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gpuctl.engines import daemon_json
from gpuctl.engines.merge import Values
from gpuctl.facts.docker import Docker
from gpuctl.facts.gather import Facts, gather
from gpuctl.facts.system import System
from gpuctl.facts.toolkit import Toolkit
from gpuctl.host.reading import Host
from gpuctl.provision import docker
from gpuctl.provision.result import Wish
from gpuctl.provision.setup import Daemon, Setup


@dataclass(frozen=True)
class Document:
    """How a file that is others' as well is read as nested dicts, and how values are set in it, all else staying."""

    values: Callable[[bytes], dict[str, Any]]
    set_values: Callable[[bytes, Values], bytes]


@dataclass(frozen=True)
class Engine:
    """`plan` returns what registers the runtime, and raises Refused; `running` the daemon that runs now, if any.

    `subjects` are the facts that both need. `show` returns the diff of two contents of its file, without secrets.
    """

    title: str
    plan: Callable[[Host, Facts, Wish], Setup]
    running: Callable[[Host, Facts], Daemon | None]
    subjects: tuple[type, ...]
    show: Callable[[str, bytes | None, bytes | None], str]
    document: Document | None
    """None: its files are gpuctl's as a whole."""


ENGINES = {
    docker.ENGINE: Engine(
        docker.TITLE,
        docker.plan,
        docker.running,
        (System, Docker, Toolkit),
        daemon_json.diff,
        Document(daemon_json.values, daemon_json.set_values),
    ),
}


def reader(host: Host, name: str, paths: Sequence[str]) -> Daemon | None:
    """Returns the engine's daemon that runs now and reads one of these files; None where none does."""
    engine = ENGINES.get(name)
    daemon = engine.running(host, gather(host, engine.subjects)) if engine else None
    return daemon if daemon is not None and any(map(daemon.reads, paths)) else None


def untold(daemon: Daemon | None, wish: Wish) -> tuple[str, ...]:
    """Returns why nothing was verified, where nobody is told."""
    if daemon is not None:
        return ()
    return ("No engine that runs here reads it. Nothing was verified." if wish.reload else "The engine was not told.",)
