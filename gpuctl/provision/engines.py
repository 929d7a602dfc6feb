"""The engines that gpuctl can set up, each in a file of its own, and which of them a host has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gpuctl.engines import daemon_json
from gpuctl.facts.docker import Docker
from gpuctl.facts.gather import Facts, gather
from gpuctl.facts.system import System
from gpuctl.facts.toolkit import Toolkit
from gpuctl.host.reading import Host
from gpuctl.provision import docker
from gpuctl.provision.result import Wish
from gpuctl.provision.setup import Daemon, Setup


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


ENGINES = {
    docker.ENGINE: Engine(docker.TITLE, docker.plan, docker.running, (System, Docker, Toolkit), daemon_json.diff),
}


def running(host: Host, name: str) -> Daemon | None:
    """Returns an engine's daemon that runs now; None where none does, or where gpuctl does not know that engine."""
    engine = ENGINES.get(name)
    return engine.running(host, gather(host, engine.subjects)) if engine else None
