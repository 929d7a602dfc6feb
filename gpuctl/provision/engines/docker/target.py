"""Which file is to be changed, and which daemon has to take it up."""

from __future__ import annotations

from gpuctl.checks.layers.docker import fault
from gpuctl.checks.remedies import install
from gpuctl.command import command
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.docker.flags import MERGED
from gpuctl.facts.gather import Facts
from gpuctl.facts.machine.system import System
from gpuctl.frozen import dataclass
from gpuctl.host.write.files import same_file
from gpuctl.model import CannotTell, Disturbs, ExitCode, Remedy
from gpuctl.provision.result import Refused

_ELSEWHERE = {
    "desktop": "This is Docker Desktop: its containers run in a virtual machine that gpuctl cannot set up."
    " Use the engine: docker context use default.",
    "podman": "What answers as Docker here is Podman, which takes GPUs through CDI:"
    " podman run --device nvidia.com/gpu=all.",
    "snap": "This Docker is the snap, which sees no program of the host's: it sets up GPUs itself, by its own toolkit"
    " (docker run --runtime=nvidia). gpuctl doctor says where it does not.",
    "remote": "This Docker runs on another machine: run gpuctl there.",
}
_AS_ROOT = Remedy("Run gpuctl as root: Docker's file is root's.")
_DOCTOR = Remedy("See what is wrong with Docker.", (command("gpuctl", "doctor", "--only", "docker"),))


@dataclass(frozen=True)
class DaemonFile:
    """`path` is the file to change. `live`: a daemon is running that reads it."""

    path: str
    docker: Docker
    live: bool


def find_target(facts: Facts, config: str | None) -> DaemonFile:
    """Returns the file that this host's daemon reads, or `config`. Raises Refused where there is nothing to change."""
    try:
        return _target(facts.known(Docker), facts.known(System), config)
    except CannotTell as reason:
        raise _not_seen(str(reason)) from None


def _not_seen(reason: str) -> Refused:
    remedy = _AS_ROOT if "permission" in reason.lower() else _DOCTOR
    return Refused(f"Docker could not be looked at: {reason.rstrip('.')}.", ExitCode.UNDETERMINED, remedy)


def _target(docker: Docker, system: System, config: str | None) -> DaemonFile:
    stopped = _stopped(docker)
    kind = docker.kind.value if stopped else docker.kind.get()
    if kind in _ELSEWHERE:
        raise Refused(_ELSEWHERE[kind])
    daemon = None if stopped else docker.daemon.get()
    if daemon is None and docker.unit.value is None and docker.process.value is None and config is None:
        known = fault(system, docker) if docker.installed else None
        if known:
            raise Refused(known[0], remedy=known[1])
        remedy = install("docker", "Install Docker, or name the file with --config.", system, Disturbs.NOTHING)
        raise Refused("Docker is not installed here.", remedy=remedy)
    path = config or docker.config.source
    if not config and not path.startswith("/"):
        raise Refused(f"Which file dockerd reads cannot be told: {path}. Name it with --config.", ExitCode.UNDETERMINED)
    return DaemonFile(path, docker, daemon is not None and same_file(path, docker.config.source))


def _stopped(docker: Docker) -> bool:
    """Whether systemd has a Docker here that does not run: its file counts from its next start on."""
    unit = docker.unit.value
    return unit is not None and not unit.active and docker.process.value is None


def check_flags(target: DaemonFile, keys: frozenset[str]) -> None:
    """Raises Refused when the daemon gets one of the keys on its command line too: then it would not start again."""
    if not same_file(target.path, target.docker.config.source):
        return
    try:
        both = sorted(keys & (target.docker.flags.get() or frozenset()))
    except CannotTell as reason:
        raise Refused(f"dockerd's options could not be looked at: {reason}.", ExitCode.UNDETERMINED) from None
    if both:
        raise Refused(
            f"dockerd gets {' and '.join(both)} on its command line ({target.docker.flags.source}). {_why(both)}:"
            f" remove the option there first, and write what it says into {target.path}."
        )


def _why(both: list[str]) -> str:
    if MERGED.issuperset(both):
        return "gpuctl does not put one setting in two places, which Docker merges from 18.09 on and refuses before"
    return "A setting that stands in both places keeps it from starting"
