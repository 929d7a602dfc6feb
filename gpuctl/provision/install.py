"""Registering the NVIDIA runtime with an engine of this host."""

from __future__ import annotations

from dataclasses import replace

from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gather import Facts, gather
from gpuctl.facts.machine.system import System
from gpuctl.facts.own.journal import Changes, Run
from gpuctl.facts.packages.packages import Packages
from gpuctl.host.look.reading import Host
from gpuctl.host.record.memory import RememberingHost
from gpuctl.provision.change_set import ChangeSet
from gpuctl.provision.engines.cdi import SUBJECTS, with_specification
from gpuctl.provision.engines.choose import engine_of, found_engine
from gpuctl.provision.errand import Errand, refusal
from gpuctl.provision.packages.packages import PackageWish, plan_packages
from gpuctl.provision.result import Refused, Result, Say, Wish
from gpuctl.provision.run.transaction import conduct
from gpuctl.regex import regex

COMMAND = "install-runtime"
CDI_ITSELF = "podman"
"""The engine that is given its GPUs by a specification in any case."""
_NAME = regex(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RESERVED = ("runc", "io.containerd.")


def check_name(name: str) -> str:
    """Returns the name. Raises ValueError for one that dockerd does not take for a runtime."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a runtime: use letters, digits, `_`, `.` and `-`")
    if name == _RESERVED[0] or name.startswith(_RESERVED[1]):
        raise ValueError(f"{name} is a runtime of Docker's own")
    return name


def install_runtime(host: Host, wish: Wish, packages: PackageWish | None, say: Say) -> Result:
    """Returns how it ended; with `dry_run`, what would be done. Nothing is changed where nothing has to be.

    `packages`: the toolkit is to be installed first, if it is not there.
    """
    try:
        errand = _errand(host, wish, packages, say)
    except Refused as refused:
        return refusal(Result(dry_run=wish.dry_run), refused)
    result = conduct(errand)
    notes = (
        *(errand.packages.notes if errand.packages else ()),
        *result.notes,
        *map(_about_cut_short, result.cut_short),
    )
    return replace(result, notes=notes)


def _errand(host: Host, wish: Wish, wanted: PackageWish | None, say: Say) -> Errand:
    memory = RememberingHost(host)  # until something changes
    name, facts = (wish.engine, Facts({})) if wish.engine else found_engine(memory)
    engine = engine_of(name)
    writes_cdi = wish.cdi and name != CDI_ITSELF
    subjects = (*engine.subjects, *(SUBJECTS if writes_cdi else ()))
    missing = dict.fromkeys((*subjects, *((System, Docker, Packages) if wanted else ())))
    facts |= gather(memory, [one for one in missing if one not in facts.found])
    packages = plan_packages(host, facts, wanted) if wanted else None
    coming = bool(packages and packages.steps)
    first = [facts]

    def plan(journal: Changes) -> ChangeSet:
        """With the facts that are there the first time, and with new ones after packages have come in."""
        seen = first.pop() if first else gather(host, subjects)
        now = replace(wish, coming=coming and seen is facts)
        change_set = engine.plan(host, seen, now)
        return with_specification(host, seen, now, change_set) if writes_cdi else change_set

    return Errand(host, COMMAND, wish, plan, say, packages)


def _about_cut_short(run: Run) -> str:
    """Another run that was cut short is none of this one's business, but the person's."""
    return f"The run {run.id} (gpuctl {run.command}) was cut short. `gpuctl rollback` undoes what it had begun."
