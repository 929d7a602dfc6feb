"""Registering the NVIDIA runtime with the Docker that runs here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from gpuctl.checks import CHECKS
from gpuctl.checks.engine import ask
from gpuctl.checks.remedies import install
from gpuctl.engines.daemon_json import (
    DEFAULT_RUNTIME,
    RUNTIMES,
    Differs,
    Runtime,
    Settings,
    diff,
    register,
    settings,
)
from gpuctl.engines.json_text import NotAccepted
from gpuctl.facts.docker import Docker
from gpuctl.facts.gather import Facts
from gpuctl.facts.system import System
from gpuctl.host import files
from gpuctl.host.reading import Host
from gpuctl.model import Disturbs, Finding, Plan, Status
from gpuctl.provision.daemon import difference, unit_to_tell
from gpuctl.provision.result import Refused, Result, Wish
from gpuctl.provision.steps import notes, reloading, restarting, writing
from gpuctl.provision.target import Target, check_flags
from gpuctl.provision.transaction import Planned, Transaction, conduct, settings_of

PROGRAM = "nvidia-container-runtime"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RESERVED = ("runc", "io.containerd.")


def check_name(name: str) -> str:
    """Returns the name. Raises ValueError for one that dockerd does not take for a runtime."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a runtime: use letters, digits, `_`, `.` and `-`")
    if name == _RESERVED[0] or name.startswith(_RESERVED[1]):
        raise ValueError(f"{name} is a runtime of Docker's own")
    return name


def install_runtime(host: Host, facts: Facts, wish: Wish) -> Result:
    """Returns how it ended; with `dry_run`, what would be done. Nothing is changed where nothing has to be.

    `facts` must have System, Docker and Toolkit.
    """
    result = conduct(facts, wish, lambda target: _plan(host, facts, wish, target))
    if result.restart_needed is None or result.error is not None:
        return result
    result = replace(result, restart_needed=result.restart_needed and not result.restarted)
    waits = _gpus_wait(facts, result.restarted)
    return replace(result, notes=(*result.notes, waits.message), remedy=waits.remedy) if waits else result


def _plan(host: Host, facts: Facts, wish: Wish, target: Target) -> Planned:
    check_flags(target, frozenset((RUNTIMES, DEFAULT_RUNTIME) if wish.default else (RUNTIMES,)))
    edit = _editor(host, wish, target, _program(host, facts[System], wish))
    before = files.read(target.path).raw
    new = edit(before)
    changed = new != before
    agrees = _agrees(target, settings_of(new))
    needed = _restart_needed(facts) if target.live else None
    restart = bool(needed) and wish.restart
    tell = target.live and wish.reload and (changed or not agrees or restart)
    unit = unit_to_tell(target.docker, restart) if tell else None
    job = Transaction(host, target, edit, tell, unit, restart and tell, deadline=wish.deadline)
    steps = (
        *((writing(target.path),) if changed else ()),
        *(
            (reloading(target.docker, unit, f"lists the runtime {wish.name}"),)
            if tell and (changed or not agrees)
            else ()
        ),
        *((restarting(target.docker, unit),) if job.restart and unit else ()),
    )
    result = Result(
        config=target.path,
        dry_run=wish.dry_run,
        changed=changed,
        diff=diff(target.path, before, new) if changed else "",
        verified=agrees and not changed,
        restart_needed=needed,
        plan=Plan(steps),
        notes=notes(target, wish),
    )
    return Planned(job, result)


def _agrees(target: Target, wanted: Settings) -> bool:
    """Whether the running daemon has what the file is to say."""
    daemon = target.docker.daemon.value if target.live else None
    if daemon is None:
        return False
    runtimes = {name: path or "" for name, path in daemon.runtimes.items()}
    return not difference(wanted, Settings(runtimes, daemon.default_runtime))


def _program(host: Host, system: System, wish: Wish) -> str:
    """The absolute path that dockerd will be told: its PATH may be another than ours."""
    wished = wish.runtime_path or PROGRAM
    found = host.which(wished)
    if not found.ok:
        remedy = install("toolkit", "Install the NVIDIA Container Toolkit.", system, Disturbs.NOTHING)
        where = "not an executable program" if "/" in wished else "not on PATH"
        raise Refused(f"{wished} is {where}.", remedy=None if wish.runtime_path else remedy)
    if not found.text.startswith("/"):
        raise Refused(f"Docker needs the whole path of {wished}, from the root.")
    return found.text


def _editor(host: Host, wish: Wish, target: Target, program: str) -> Callable[[bytes | None], bytes | None]:
    def edit(raw: bytes | None) -> bytes | None:
        try:
            there = settings(raw or b"").runtimes.get(wish.name, "")
            path = there if there and _leads_to(host, target.docker, there, program) else program
            return register(raw or b"", wish.name, Runtime(path), wish.default, wish.force)
        except NotAccepted as error:
            hint = " Use --force to replace that entry." if isinstance(error, Differs) else ""
            place = f"{target.path}:{error.line}:{error.column}"
            raise Refused(f"{place}: {error.message}.{hint}") from None

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


def _restart_needed(facts: Facts) -> bool | None:
    """Whether a restart of the daemon is all that --gpus waits for; None when it cannot be told."""
    visible, late = _about_hook(facts)
    if Status.UNKNOWN in (visible.status, late.status):
        return None
    return visible.status is not Status.FAIL and late.status is Status.WARN


def _gpus_wait(facts: Facts, restarted: bool) -> Finding | None:
    """What --gpus waits for: dockerd looks for the toolkit's hook once, on its own PATH, when it starts."""
    visible, late = _about_hook(facts)
    if visible.status is Status.FAIL:  # which no restart changes
        return visible
    return late if late.status is Status.WARN and not restarted else None


def _about_hook(facts: Facts) -> tuple[Finding, Finding]:
    return ask(CHECKS["registration.hook-visible"], facts), ask(CHECKS["registration.restart-needed"], facts)
