"""Registering the NVIDIA runtime with the CRI-O that runs here: a drop-in file, and a reload."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from gpuctl.checks.remedies import as_root
from gpuctl.command import command
from gpuctl.engines.crio import INHERITED, register
from gpuctl.engines.toml.shown import diff
from gpuctl.engines.toml.text import NotAccepted
from gpuctl.facts.crio import FOLDER, Crio, CrioConfig, merged
from gpuctl.facts.gather import Facts
from gpuctl.facts.machine.system import System
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.host.look.reading import Host
from gpuctl.host.status import status_of
from gpuctl.host.write import files
from gpuctl.model import ENGINES, CannotTell, Disturbs, ExitCode, Remedy
from gpuctl.provision.engines.crio.daemon import CrioDaemon
from gpuctl.provision.engines.daemons import refused
from gpuctl.provision.engines.runtime_program import PROGRAM, whole_path
from gpuctl.provision.result import Refused, Wish
from gpuctl.provision.setup import Edit, Engine, Setup

ENGINE, TITLE = "crio", ENGINES["crio"]
DROP_IN = "99-nvidia.conf"
"""The name that nvidia-ctk gives it too: two files would quarrel about which counts."""
LOOK = "CRI-O's log says more: journalctl -u crio -n 20."
_LATE = (
    "CRI-O lists the runtime after a reload, but some versions start no pod with it before a restart, `failed to find"
    " runtime handler` (https://github.com/cri-o/cri-o/issues/10202). Running containers live on through a restart."
)
_TOO_OLD = "CRI-O takes up runtimes on a reload from 1.26 on: this one waits for a restart. Running containers live on."


def plan(host: Host, facts: Facts, wish: Wish) -> Setup:
    """Returns what registers the runtime. Raises Refused. `facts` must have System, Crio and Toolkit."""
    crio, configs = _seen(facts)
    folder = crio.folder.value or FOLDER
    path = wish.config or posixpath.join(folder, DROP_IN)
    program = whole_path(host, facts.known(System), wish, TITLE)
    effective = crio.daemon.value or merged(configs)
    entry = {"runtime_path": program, "runtime_type": "oci", **inherited(effective, wish.name)}
    others = [one for one in configs if not files.same_file(one.path, path)]
    _check_later(path, others, entry, wish)
    edits = () if _is_elsewhere(path, others, entry, wish) else (_edit(path, folder, entry, wish),)
    is_read = posixpath.dirname(path) == folder
    daemon = running(host, facts) if is_read and wish.reload else None
    setup = Setup(ENGINE, TITLE, edits, daemon, notes=_why_not_told(crio, path, is_read, wish), look=LOOK)
    return _with_waits(host, facts, setup, path, wish) if daemon else setup


def running(host: Host, facts: Facts) -> CrioDaemon | None:
    """Returns the daemon that runs here now; None where none does, or none can be seen."""
    crio = facts.get(Crio)
    if not crio or crio.process.value is None or not crio.socket.value:
        return None
    unit = crio.unit.value
    told_by = unit.name if unit and unit.active else None
    return CrioDaemon(
        host, crio.process.value, crio.socket.value, told_by, crio.version.value or "", crio.folder.value or FOLDER
    )


def _seen(facts: Facts) -> tuple[Crio, tuple[CrioConfig, ...]]:
    try:
        crio = facts.known(Crio)
    except CannotTell as reason:
        raise Refused(f"CRI-O could not be looked at: {reason}.", ExitCode.UNDETERMINED) from None
    try:
        configs = crio.files.get() or ()
    except CannotTell as reason:
        raise Refused(f"CRI-O's configuration could not be read: {reason}.", ExitCode.UNDETERMINED) from None
    if crio.folder.value is None:
        raise Refused("CRI-O is not installed here.")
    return crio, configs


def inherited(config: CrioConfig, name: str) -> Mapping[str, Any]:
    """Returns what the new runtime needs of the one that it will call: the default, or crun or runc.

    A default of another kind, such as kata's virtual machines, has nothing to hand on.
    """
    for candidate in (config.default_runtime, "crun", "runc"):
        entry = config.runtimes.get(candidate, {})
        is_plain = entry.get("runtime_type", "") in ("", "oci") and PROGRAM not in str(entry.get("runtime_path"))
        if entry and is_plain and candidate != name:
            return {key: entry[key] for key in INHERITED if entry.get(key)}
    return {}


def _check_later(path: str, others: list[CrioConfig], entry: Mapping[str, Any], wish: Wish) -> None:
    """A file that is read after ours would win."""
    for one in others:
        there = one.runtimes.get(wish.name)
        if one.path < path or posixpath.dirname(one.path) != posixpath.dirname(path):
            continue
        if there and there.get("runtime_path") != entry["runtime_path"]:
            raise Refused(f"{one.path} registers {wish.name} as {there.get('runtime_path')}, and counts after {path}.")
        if wish.default and one.default_runtime not in ("", wish.name):
            raise Refused(f"{one.path} makes {one.default_runtime} the default runtime, and counts after {path}.")


def _is_elsewhere(path: str, others: list[CrioConfig], entry: Mapping[str, Any], wish: Wish) -> bool:
    """Whether other files say all of it already, and say it right."""
    said = merged(others)
    there = said.runtimes.get(wish.name)
    if there is None or (wish.default and said.default_runtime != wish.name):
        return False
    if there.get("runtime_path") != entry["runtime_path"] and not wish.force:
        where = next(one.path for one in reversed(others) if wish.name in one.runtimes)
        raise Refused(f"{where} registers {wish.name} as {there.get('runtime_path')}. Use --force to have {path} win.")
    return all(key in there for key in entry if key != "runtime_type")


def _edit(path: str, folder: str, entry: Mapping[str, Any], wish: Wish) -> Edit:
    # Every file of CRI-O's directory counts, a backup too: what the file was is kept beside the directory.
    aside = posixpath.dirname(folder) if posixpath.dirname(path) == folder else ""
    return Edit(path, _editor(path, entry, wish), diff, aside=aside)


def _editor(path: str, entry: Mapping[str, Any], wish: Wish) -> Callable[[bytes | None], bytes | None]:
    def change(raw: bytes | None) -> bytes | None:
        try:
            return register(raw, wish.name, entry, wish.default, wish.force)
        except NotAccepted as error:
            raise refused(path, error) from None

    return change


def _why_not_told(crio: Crio, path: str, is_read: bool, wish: Wish) -> tuple[str, ...]:
    if not is_read:
        return (f"CRI-O reads the files in {crio.folder.value}, not {path}: it was not told.",)
    if crio.process.value is None:
        return ("CRI-O is not running: it reads the file when it starts. Nothing was verified.",)
    return () if wish.reload else ("CRI-O was not told. It reads the file on a reload: systemctl reload crio.",)


def _with_waits(host: Host, facts: Facts, setup: Setup, path: str, wish: Wish) -> Setup:
    """What may wait for a restart: nothing where CRI-O has started since the file was written."""
    raw = files.read(path).raw
    if all(edit.change(raw) == raw for edit in setup.edits) and _started_since(host, facts.known(Crio), path):
        return replace(setup, restart_needed=False)
    too_old = setup.daemon is not None and setup.daemon.reloading is None
    commands = as_root(facts.known(System), command("systemctl", "restart", "crio"))
    return replace(
        setup,
        restart=wish.restart,
        restart_needed=True if too_old else None,
        late=(_TOO_OLD if too_old else _LATE,),
        remedy=Remedy("Restart CRI-O when it suits.", commands, Disturbs.NEW_CONTAINERS),
    )


def _started_since(host: Host, crio: Crio, path: str) -> bool:
    seen, process = status_of(host.stat(path)), crio.process.value
    return seen is not None and process is not None and process.started > seen.ctime


CRIO = Engine(TITLE, plan, running, (System, Crio, Toolkit), diff)
