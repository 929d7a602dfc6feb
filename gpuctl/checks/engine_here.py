"""Which engine runs containers on a host, where gpuctl has to say so, and how to prove that GPUs reach them."""

from __future__ import annotations

from gpuctl.checks.layers.docker import is_engine, other_engine
from gpuctl.command import Command, command
from gpuctl.facts.containerd.containerd import Containerd
from gpuctl.facts.crio import Crio
from gpuctl.facts.docker.docker import Docker, State
from gpuctl.facts.gather import Facts
from gpuctl.facts.job_runtimes import JobRuntimes
from gpuctl.facts.podman import Podman
from gpuctl.model import ENGINES, CannotTell

POD = "a pod with runtimeClassName: nvidia"
"""What proves the registration where nothing but Kubernetes starts containers."""

ON_THE_HOST = command("gpuctl", "smoke", "--host")
"""What proves the driver where containers are the jobs' own: they use it as it is on the host."""


def engine_here(facts: Facts) -> str:
    """Returns the name in ENGINES of the engine that people mean, "" where there is none, or where nobody can tell.

    It is Docker also where somebody has chosen one on another host.
    """
    docker = facts.get(Docker)
    if docker and (is_engine(docker) or docker.state.value is State.ELSEWHERE):
        return "docker"
    return other_here(facts)


def other_here(facts: Facts) -> str:
    """Returns the name of the engine beside Docker that runs containers here, "" where there is none known."""
    containerd, crio, podman = facts.get(Containerd), facts.get(Crio), facts.get(Podman)
    try:
        return (containerd and crio and podman and other_engine(containerd, crio, podman)) or ""
    except CannotTell:
        return ""


def jobs_alone(facts: Facts) -> bool:
    """Returns whether jobs bring their own containers here, and no engine runs any."""
    jobs = facts.get(JobRuntimes)
    return bool(jobs and jobs.programs.value) and not engine_here(facts)


def title_of(engine: str, facts: Facts) -> str:
    """Returns an engine's name as people write it; containerd's is that of what it is a part of, such as K3s."""
    containerd = facts.get(Containerd)
    return containerd.title if engine == "containerd" and containerd else ENGINES[engine]


def proof(engine: str, runtime: str = "") -> Command | None:
    """Returns the command that proves that GPUs reach this engine's containers, by a runtime of that name if one is
    given; None where gpuctl starts no container by it."""
    if engine == "crio":
        return None
    options = () if engine == "docker" else ("--engine", engine)
    return command("gpuctl", "smoke", *options, *(("--runtime", runtime) if runtime else ()))
