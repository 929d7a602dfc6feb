"""Which engine runs containers on a host, where gpuctl has to say so, and how to prove that GPUs reach them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.command import Command, command
from gpuctl.facts.gather import Facts
from gpuctl.facts.gpu.keeper import GUESTS
from gpuctl.facts.machine.system import System
from gpuctl.model import ENGINES, CannotTell

if TYPE_CHECKING:
    from gpuctl.facts.containerd.containerd import Containerd
    from gpuctl.facts.crio import Crio
    from gpuctl.facts.docker.docker import Docker
    from gpuctl.facts.podman import Podman

POD = "a pod with runtimeClassName: nvidia"
"""What proves the registration where nothing but Kubernetes starts containers."""

ON_THE_HOST = command("gpuctl", "smoke", "--host")
"""What proves the driver where no engine is needed: jobs' own containers, and one that gpuctl is in, use it so."""


def within_container(system: System) -> bool:
    """Returns whether this is an engine's container, and that is its host's. A guest of LXC has engines of its own."""
    return system.machine.value == "container" and system.machine_detail.value not in GUESTS


def is_outside(docker: Docker, system: System) -> bool:
    """Returns whether a Docker answers whose programs are not to be seen: a container's host's, or Docker Desktop's."""
    apart = within_container(system) or docker.kind.value == "desktop"
    return apart and docker.daemon.value is not None and docker.process.value is None


def is_engine(docker: Docker) -> bool:
    """Returns whether Docker itself runs containers here, or would, and not Podman in its place."""
    return docker.installed and docker.kind.value != "podman"


def other_engine(containerd: Containerd, crio: Crio, podman: Podman) -> str:
    """Returns what else runs containers here, "" for nothing. A containerd that is Docker's may have been left behind.

    Raises CannotTell where there is only a process that gpuctl does not go by.
    """
    if crio.process.value:
        return "crio"
    if containerd.process.value and containerd.flavour.value not in (None, "docker"):
        return "containerd"
    if podman.program.value:
        return "podman"
    for process in (crio.process, containerd.process):
        process.get()
    return ""


def engine_here(facts: Facts) -> str:
    """Returns the name in ENGINES of the engine that people mean, "" where there is none, or where nobody can tell.

    It is Docker also where somebody has chosen one on another host.
    """
    if not _was_asked(facts):
        return ""
    from gpuctl.facts.docker.docker import Docker, State

    docker = facts.get(Docker)
    if docker and (is_engine(docker) or docker.state.value is State.ELSEWHERE):
        return "docker"
    return other_here(facts)


def other_here(facts: Facts) -> str:
    """Returns the name of the engine beside Docker that runs containers here, "" where there is none known."""
    if not _was_asked(facts):
        return ""
    from gpuctl.facts.containerd.containerd import Containerd
    from gpuctl.facts.crio import Crio
    from gpuctl.facts.podman import Podman

    containerd, crio, podman = facts.get(Containerd), facts.get(Crio), facts.get(Podman)
    try:
        return (containerd and crio and podman and other_engine(containerd, crio, podman)) or ""
    except CannotTell:
        return ""


def _was_asked(facts: Facts) -> bool:
    """Whether anybody looked for what runs containers: who did, looked for Docker, too."""
    return facts.tell_of("Docker")


def needs_no_engine(facts: Facts) -> bool:
    """Returns whether no engine runs containers here, nor need one: jobs bring theirs, or this is a container."""
    if not _was_asked(facts) or engine_here(facts):
        return False
    from gpuctl.facts.job_runtimes import JobRuntimes

    jobs, system = facts.get(JobRuntimes), facts.get(System)
    return bool(jobs and jobs.programs.value) or bool(system and within_container(system))


def title_of(engine: str, facts: Facts) -> str:
    """Returns an engine's name as people write it; containerd's is that of what it is a part of, such as K3s."""
    if engine != "containerd":
        return ENGINES[engine]
    from gpuctl.facts.containerd.containerd import Containerd

    containerd = facts.get(Containerd)
    return containerd.title if containerd else ENGINES[engine]


def proof(engine: str, runtime: str = "") -> Command | None:
    """Returns the command that proves that GPUs reach this engine's containers, by a runtime of that name if one is
    given; None where gpuctl starts no container by it."""
    if engine == "crio":
        return None
    options = () if engine == "docker" else ("--engine", engine)
    return command("gpuctl", "smoke", *options, *(("--runtime", runtime) if runtime else ()))
