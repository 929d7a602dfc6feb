"""Restoring what a file was before gpuctl's last change of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gpuctl.engines.daemon_json import diff
from gpuctl.facts.docker import Docker
from gpuctl.facts.gather import Facts
from gpuctl.host import files
from gpuctl.host.reading import Host
from gpuctl.host.replace import Kept, digest, last_kept
from gpuctl.model import Plan
from gpuctl.provision.daemon import DaemonProblem, answer, unit_to_tell
from gpuctl.provision.result import Refused, Result, Wish
from gpuctl.provision.steps import notes, reloading, removing, writing
from gpuctl.provision.target import Target
from gpuctl.provision.transaction import Planned, Transaction, conduct, settings_of


def rollback(host: Host, facts: Facts, wish: Wish) -> Result:
    """Returns how it ended; with `dry_run`, what would be done. `facts` must have System and Docker.

    What the file was before the rollback stays beside it too. A second rollback changes nothing.
    """
    return _with_what_stays(host, facts, conduct(facts, wish, lambda target: _plan(host, wish, target)))


def _plan(host: Host, wish: Wish, target: Target) -> Planned:
    before, kept = files.read(target.path).raw, last_kept(target.path)
    if kept is None:
        nothing = f"gpuctl has not changed {target.path}: there is nothing to roll back."
        return Planned(Transaction(host, target, lambda raw: raw, tell=False), _result(wish, target, (nothing,)))
    edit = _restorer(target, kept, wish.force)
    new = edit(before)
    changed = new != before
    tell = target.live and wish.reload and changed
    unit = unit_to_tell(target.docker, restart=False) if tell else None
    job = Transaction(host, target, edit, tell, unit, undoes=True, deadline=wish.deadline)
    write = removing(target.path) if new is None else writing(target.path)
    steps = (
        *((write,) if changed else ()),
        *((reloading(target.docker, unit, "answers and has what the file names"),) if tell else ()),
    )
    told = notes(target, wish) if changed else ()
    planned = _result(wish, target, told)
    shown = diff(target.path, before, new) if changed else ""
    return Planned(job, replace(planned, changed=changed, diff=shown, plan=Plan(steps)))


def _result(wish: Wish, target: Target, notes: tuple[str, ...]) -> Result:
    return Result(config=target.path, dry_run=wish.dry_run, notes=notes)


def _restorer(target: Target, kept: Kept, force: bool) -> Callable[[bytes | None], bytes | None]:
    def edit(raw: bytes | None) -> bytes | None:
        if raw != kept.raw and digest(raw) != kept.digest and not force:
            message = f"{target.path} was edited since gpuctl changed it. Use --force to lose those edits as well."
            raise Refused(message, diff=diff(target.path, raw, kept.raw))
        return kept.raw

    return edit


def _with_what_stays(host: Host, facts: Facts, result: Result) -> Result:
    """Docker unsets nothing on a reload: a key that the file no longer has holds until the daemon's restart."""
    endpoint = facts[Docker].endpoint.value
    if not result.verified or result.backup is None or result.config is None or endpoint is None:
        return result
    try:
        before, now = (settings_of(files.read(path).raw) for path in (result.backup, result.config))
        daemon = answer(host, endpoint.url)
    except (files.FileProblem, DaemonProblem):
        return result
    stays = [f"the runtime {name}" for name in (before.runtimes.keys() - now.runtimes.keys()) & daemon.runtimes.keys()]
    if before.default and not now.default and daemon.default == before.default:
        stays.append(f"the default runtime {before.default}")
    if not stays:
        return replace(result, restart_needed=False)
    note = f"Docker keeps {' and '.join(stays)} until it is restarted: a reload unsets nothing."
    return replace(result, restart_needed=True, notes=(*result.notes, note))
