"""Registering the NVIDIA runtime with the Docker that runs here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gpuctl.checks.engine import CHECKS, ask
from gpuctl.checks.layers.registration import HOOK_VISIBLE, RESTART_NEEDED
from gpuctl.checks.remedies import service
from gpuctl.engines.daemon_json import (
    DEFAULT_RUNTIME,
    FEATURES,
    RUNTIMES,
    Runtime,
    diff,
    register,
    set_values,
    settings,
    values,
)
from gpuctl.engines.json.text import NotAccepted
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gather import Facts
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.system import System
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.host.look.reading import Host
from gpuctl.host.write import files
from gpuctl.model import ENGINES, Disturbs, Remedy, Status
from gpuctl.provision.change_set import ChangeSet, Edit, Engine, SharedFile, accept
from gpuctl.provision.engines.daemons import refused
from gpuctl.provision.engines.docker.cdi import about_cdi, sets_cdi
from gpuctl.provision.engines.docker.daemon import DockerDaemon, not_taken, validator
from gpuctl.provision.engines.docker.target import DaemonFile, check_flags, find_target
from gpuctl.provision.engines.runtime_program import whole_path
from gpuctl.provision.result import Refused, Wish

ENGINE, TITLE = "docker", ENGINES["docker"]
LOOK = "Docker's log says more: journalctl -u docker -n 20."


def plan(host: Host, facts: Facts, wish: Wish) -> ChangeSet:
    """Returns what registers the runtime. Raises Refused. `facts` must have System, Docker and Toolkit."""
    target = find_target(facts, wish.config)
    notes = about_cdi(facts, wish)
    wish = replace(wish, cdi=sets_cdi(target.docker, wish))
    keys = (RUNTIMES, *((DEFAULT_RUNTIME,) if wish.default else ()), *((FEATURES,) if wish.cdi else ()))
    check_flags(target, frozenset(keys))
    editor = _editor(host, wish, target, whole_path(host, facts.known(System), wish, TITLE))
    edit = Edit(
        target.path, editor, diff, validator(host, target.docker, target.path) if target.live else accept, values
    )
    change_set = _change_set(host, target, edit, wish, notes)
    return _with_waits(change_set, facts, wish) if target.live else change_set


def running(host: Host, facts: Facts) -> DockerDaemon | None:
    """Returns the daemon that runs here now; None where none does, or none can be seen."""
    try:
        target = find_target(facts, None)
    except Refused:
        return None
    return _daemon(host, target) if target.live else None


def _change_set(host: Host, target: DaemonFile, edit: Edit, wish: Wish, notes: tuple[str, ...]) -> ChangeSet:
    daemon = _daemon(host, target) if target.live and wish.reload else None
    return ChangeSet(ENGINE, TITLE, (edit,), daemon, notes=(*_why_not_told(target, wish), *notes), look=LOOK)


def _daemon(host: Host, target: DaemonFile) -> DockerDaemon:
    unit = target.docker.unit.value
    # A rootless daemon's unit is its user's, of whose systemd root is not the master.
    told_by = unit.name if unit is not None and unit.active and target.docker.kind.value != "rootless" else None
    return DockerDaemon(host, target.docker, target.path, told_by)


def _why_not_told(target: DaemonFile, wish: Wish) -> tuple[str, ...]:
    if target.live:
        return () if wish.reload else ("Docker was not told. It reads the file on a reload: systemctl reload docker.",)
    if target.docker.daemon.value is None:
        return ("Docker is not running: it reads the file when it starts. Nothing was verified.",)
    return (f"The Docker that runs here reads {target.docker.config.source}, not this file: it was not told.",)


def _editor(host: Host, wish: Wish, target: DaemonFile, program: str) -> Callable[[bytes | None], bytes | None]:
    def edit(raw: bytes | None) -> bytes | None:
        try:
            there = settings(raw or b"").runtimes.get(wish.name, "")
            path = there if there and _leads_to(host, target.docker, there, program) else program
            new = register(raw or b"", wish.name, Runtime(path), wish.default, wish.cdi, wish.force)
        except NotAccepted as error:
            raise refused(target.path, error) from None
        why = not_taken(target.docker, new)
        if why:
            raise Refused(f"Docker would not take {target.path}: {why}.")
        return new

    return edit


def _leads_to(host: Host, docker: Docker, registered: str, program: str) -> bool:
    """Whether what is registered, perhaps a bare name on dockerd's PATH, is that program: then nothing differs."""
    path = docker.process.value.path if docker.process.value else None
    if "/" in registered:
        return files.same_file(registered, program)
    if path is None:
        return files.same_file(host.which(registered).text, program)
    places = (f"{folder}/{registered}" for folder in path.split(":"))
    found = next((place for place in places if host.which(place).ok), "")
    return files.same_file(found, program)


def _with_waits(change_set: ChangeSet, facts: Facts, wish: Wish) -> ChangeSet:
    """What waits for a restart: at its start, dockerd looks for the hook on its own PATH, and at `features`."""
    visible, late = (ask(one, facts) for one in _WAITS)
    daemon = facts.known(Docker).daemon.value
    if wish.cdi and not (daemon and daemon.cdi_spec_dirs):
        remedy = Remedy(
            "Restart Docker.", service(facts.known(System), facts.known(Docker), "restart"), Disturbs.RUNNING_CONTAINERS
        )
        return _waiting(change_set, wish, "Docker switches CDI on when it restarts.", remedy)
    if wish.coming:
        return _waiting(
            change_set, wish, "--gpus works once Docker has been restarted after the toolkit has come in.", None
        )
    if Status.UNKNOWN in (visible.status, late.status):
        return change_set
    if visible.status is Status.FAIL:  # which no restart changes
        return replace(
            change_set, restart_needed=False, notes=(*change_set.notes, visible.message), remedy=visible.remedy
        )
    if late.status is Status.WARN:
        return _waiting(change_set, wish, late.message, late.remedy)
    return replace(change_set, restart_needed=False)


def _waiting(change_set: ChangeSet, wish: Wish, why: str, remedy: Remedy | None) -> ChangeSet:
    return replace(change_set, restart=wish.restart, restart_needed=True, late=(why,), remedy=remedy)


_WAITS = (CHECKS[HOOK_VISIBLE], CHECKS[RESTART_NEEDED])
_SUBJECTS = tuple(dict.fromkeys((System, Docker, Tegra, Toolkit, *(need for one in _WAITS for need in one.needs))))
DOCKER = Engine(TITLE, plan, running, _SUBJECTS, diff, SharedFile(values, set_values))
