"""Registering the NVIDIA runtime with the CRI-O that runs here: a drop-in file, and a reload."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from gpuctl.checks.remedies import as_root
from gpuctl.command import command
from gpuctl.compat.knowledge.cdi import CRIO_SINCE
from gpuctl.compat.versions import compare, leading
from gpuctl.engines.crio import completed, inherited, is_program, register, settings, shown_program
from gpuctl.engines.merge import REMOVED, same
from gpuctl.engines.toml.shown import diff
from gpuctl.engines.toml.text import NotAccepted, set_values, values
from gpuctl.facts.crio import CONFIG, FOLDER, Crio, CrioConfig, in_order, merged, option
from gpuctl.facts.gather import Facts
from gpuctl.facts.machine.system import System
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.host.look.reading import Host, Outcome
from gpuctl.host.write import files
from gpuctl.model import ENGINES, CannotTell, Disturbs, ExitCode, Remedy
from gpuctl.provision.change_set import ChangeSet, Edit, Engine, SharedFile
from gpuctl.provision.engines.crio.daemon import CrioDaemon
from gpuctl.provision.engines.daemons import refused
from gpuctl.provision.engines.runtime_program import whole_path
from gpuctl.provision.result import Refused, Wish

ENGINE, TITLE = "crio", ENGINES["crio"]
DROP_IN = "99-nvidia.conf"
"""The name that nvidia-ctk gives it too: two files would quarrel about which counts."""
LOOK = "CRI-O's log says more: journalctl -u crio -n 20."
_LATE = (
    "CRI-O lists the runtime after a reload, and runs pods by what it read when it started: by this one from its"
    " restart on (https://github.com/cri-o/cri-o/issues/10202). Running containers live on through a restart."
)
_TOO_OLD = "CRI-O takes up runtimes on a reload from 1.26 on: this one waits for a restart. Running containers live on."


def plan(host: Host, facts: Facts, wish: Wish) -> ChangeSet:
    """Returns what registers the runtime. Raises Refused. `facts` must have System, Crio and Toolkit."""
    crio, configs = _seen(facts)
    path = wish.config or posixpath.join(crio.folder.value or FOLDER, DROP_IN)
    program = whole_path(host, facts.known(System), wish, TITLE)
    _check_flags(crio, wish)
    notes = _about_cdi(crio, wish)
    others = [one for one in configs if not files.same_file(one.path, path)]
    entry = _entry(crio, merged(configs), wish, program)
    _check_later(crio, path, others, program, wish)
    edits = _edits(host, crio, path, others, entry, wish)
    is_read = _is_read(crio, path)
    daemon = running(host, facts) if is_read and wish.reload else None
    notes = (*_why_not_told(crio, path, is_read, wish), *notes)
    change_set = ChangeSet(ENGINE, TITLE, edits, daemon, notes=notes, look=LOOK)
    return _with_waits(facts, change_set, wish) if daemon else change_set


def running(host: Host, facts: Facts) -> CrioDaemon | None:
    """Returns the daemon that runs here now; None where none does, or none can be seen."""
    crio = facts.get(Crio)
    if not crio or crio.process.value is None or not crio.socket.value:
        return None
    unit = crio.unit.value
    told_by = unit.name if unit and unit.active else None
    config, folder = crio.config.value or CONFIG, crio.folder.value or FOLDER
    return CrioDaemon(host, crio.process.value, crio.socket.value, told_by, crio.version.value or "", config, folder)


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


def _check_flags(crio: Crio, wish: Wish) -> None:
    """A command line goes before all files when CRI-O starts, and a reload passes over it (internal/criocli)."""
    argv = crio.process.value.argv if crio.process.value else ()
    default = option(argv, "--default-runtime")
    if wish.default and default not in ("", wish.name):
        raise Refused(f"CRI-O gets --default-runtime={default} on its command line, which goes before its files.")


def _about_cdi(crio: Crio, wish: Wish) -> tuple[str, ...]:
    """Raises Refused where CDI is wished and this CRI-O has none."""
    version = leading(crio.version.value or "")
    if wish.cdi and version and compare(version, CRIO_SINCE) < 0:
        raise Refused(f"CRI-O {version} has no CDI: it came with {CRIO_SINCE}.")
    return ("CRI-O always reads CDI specifications: there is nothing to switch on.",) if wish.cdi else ()


def _entry(crio: Crio, said: CrioConfig, wish: Wish, program: str) -> dict[str, Any]:
    """The wished table: what its files say of the runtime that it really uses, by its own word."""
    default = crio.daemon.value.default_runtime if crio.daemon.value else said.default_runtime
    ours = {"runtime_path": program, "runtime_type": "oci"}
    return {**ours, **inherited(said.runtimes, default, wish.name)}


def _check_later(crio: Crio, path: str, others: list[CrioConfig], program: str, wish: Wish) -> None:
    """A file that is read after ours would win."""
    for one in _after(crio, path, others):
        there = one.runtimes.get(wish.name)
        if there and not is_program(there, program):
            what = shown_program(there)
            raise Refused(f"{one.path} registers {wish.name} as {what}, and counts after {path}.")
        if wish.default and one.default_runtime not in ("", wish.name):
            raise Refused(f"{one.path} makes {one.default_runtime} the default runtime, and counts after {path}.")


def _after(crio: Crio, path: str, others: list[CrioConfig]) -> list[CrioConfig]:
    ours = CrioConfig(path, {}, "", "")
    order = in_order([*others, ours], crio.config.value or CONFIG)
    return order[order.index(ours) + 1 :] if _is_read(crio, path) else []


def _is_read(crio: Crio, path: str) -> bool:
    return path == crio.config.value or path.startswith(f"{crio.folder.value}/")


def _edits(
    host: Host, crio: Crio, path: str, others: list[CrioConfig], entry: Mapping[str, Any], wish: Wish
) -> tuple[Edit, ...]:
    """Nothing is written where other files say all that is wished.

    Of a table that several files have the last one counts as a whole, so that ours takes over what theirs has.
    """
    said = merged(others)
    there = said.runtimes.get(wish.name, {})
    is_same = is_program(there, entry["runtime_path"])
    if there and not is_same and not wish.force and not _says_itself(path, wish.name):
        where = next(one.path for one in reversed(others) if wish.name in one.runtimes)
        what = shown_program(there)
        raise Refused(f"{where} registers {wish.name} as {what}. Use --force to have {path} win.")
    wanted = completed(there if is_same else {}, entry, wish.force)
    is_default = not wish.default or said.default_runtime == wish.name
    has = {"runtime_type": "oci", **there}
    lacks = [key for key, value in wanted.items() if not same(has.get(key, REMOVED), value)]
    if not lacks and is_default:
        return ()
    last = next((one.path for one in reversed(_after(crio, path, others)) if wish.name in one.runtimes), None)
    if last and lacks:
        what = f"{wish.name}, lacks {', '.join(lacks)}"
        raise Refused(f"{last} registers {what}, and counts after {path}. Use --config={last}.")
    _check_monitor(host, wanted)
    return (_edit(crio, path, wanted, wish),)


def _check_monitor(host: Host, entry: Mapping[str, Any]) -> None:
    """A reload does not look at it: CRI-O would take the file up, and not start any more (seen on 1.36.3)."""
    monitor = str(entry.get("monitor_path", ""))
    if monitor and host.which(monitor).outcome is Outcome.ABSENT:
        what = "is not there, or not executable"
        raise Refused(f"{monitor}, the monitor of CRI-O's runtimes, {what}: CRI-O would not start any more.")


def _says_itself(path: str, name: str) -> bool:
    return name in settings(files.read(path).raw).runtimes


def _edit(crio: Crio, path: str, entry: Mapping[str, Any], wish: Wish) -> Edit:
    # Every file of CRI-O's directory counts, a backup too: what the file was is kept beside the directory.
    folder = crio.folder.value or FOLDER
    place = posixpath.dirname(folder) if path.startswith(f"{folder}/") else ""
    return Edit(path, _editor(path, entry, wish), diff, values=values, aside=place)


def _editor(path: str, entry: Mapping[str, Any], wish: Wish) -> Callable[[bytes | None], bytes | None]:
    def change(raw: bytes | None) -> bytes | None:
        try:
            return register(raw, wish.name, entry, wish.default, wish.force)
        except NotAccepted as error:
            raise refused(path, error) from None

    return change


def _why_not_told(crio: Crio, path: str, is_read: bool, wish: Wish) -> tuple[str, ...]:
    if not is_read:
        return (f"CRI-O reads {crio.config.value} and {crio.folder.value}, not {path}: it was not told.",)
    if crio.process.value is None:
        return ("CRI-O is not running: it reads the file when it starts. Nothing was verified.",)
    return () if wish.reload else ("CRI-O was not told. It reads the file on a reload: systemctl reload crio.",)


def _with_waits(facts: Facts, change_set: ChangeSet, wish: Wish) -> ChangeSet:
    """What waits for a restart: nothing where CRI-O has started since its files say what is wished."""
    says_all = all(edit.change(raw) == raw for edit in change_set.edits for raw in [files.read(edit.path).raw])
    if says_all and _started_since(facts.known(Crio), wish):
        return replace(change_set, restart_needed=False)
    too_old = change_set.daemon is not None and change_set.daemon.reloading is None
    commands = as_root(facts.known(System), command("systemctl", "restart", "crio"))
    return replace(
        change_set,
        restart=wish.restart,
        restart_needed=True,
        late=(_TOO_OLD if too_old else _LATE,),
        remedy=Remedy("Restart CRI-O when it suits.", commands, Disturbs.NEW_CONTAINERS),
    )


def _started_since(crio: Crio, wish: Wish) -> bool:
    process, said = crio.process.value, crio.files.value or ()
    about = [one for one in said if wish.name in one.runtimes or (wish.default and one.default_runtime == wish.name)]
    return process is not None and all(one.changed is not None and one.changed < process.started for one in about)


CRIO = Engine(TITLE, plan, running, (System, Crio, Toolkit), diff, SharedFile(values, set_values))
