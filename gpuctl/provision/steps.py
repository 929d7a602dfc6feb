"""The steps of a plan in words, and what the person should know besides them."""

from __future__ import annotations

from gpuctl.facts.docker import Docker
from gpuctl.model import Disturbs, Step
from gpuctl.provision.result import Wish
from gpuctl.provision.target import Target


def writing(path: str) -> Step:
    """Returns the step that writes the file."""
    return Step(f"write {path}, and keep what it was beside it", Disturbs.NOTHING)


def removing(path: str) -> Step:
    """Returns the step that removes the file."""
    return Step(f"remove {path}, and keep what it was beside where it was", Disturbs.NOTHING)


def reloading(docker: Docker, unit: str | None, until: str) -> Step:
    """Returns the step that has the daemon read the file again; `until` says what it must answer then."""
    pid = docker.process.value.pid if docker.process.value else None
    how = f"systemctl reload {unit}" if unit else f"SIGHUP to dockerd, process {pid}"
    return Step(f"reload Docker ({how}) and ask it until it {until}", Disturbs.NOTHING)


def restarting(docker: Docker, unit: str) -> Step:
    """Returns the step that restarts the daemon, with the count of containers that it stops."""
    daemon = docker.daemon.value
    stops = daemon.containers_running if daemon and not daemon.live_restore else 0
    disturbs = Disturbs.RUNNING_CONTAINERS if stops else Disturbs.NOTHING
    return Step(f"restart Docker (systemctl restart {unit}), which stops {stops} running containers", disturbs)


def notes(target: Target, wish: Wish) -> tuple[str, ...]:
    """Returns why the daemon is not told, where it is not."""
    if target.live:
        return () if wish.reload else ("Docker was not told. It reads the file on a reload: systemctl reload docker.",)
    if target.docker.daemon.value is None:
        return ("Docker is not running: it reads the file when it starts. Nothing was verified.",)
    return (f"The Docker that runs here reads {target.docker.config.source}, not this file: it was not told.",)
