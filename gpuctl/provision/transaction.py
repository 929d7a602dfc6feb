"""One file changed, the daemon told, its answer checked; put back where the answer is not the expected one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gpuctl.engines.daemon_json import Settings, diff, settings
from gpuctl.engines.json_text import NotAccepted
from gpuctl.facts.gather import Facts
from gpuctl.host import files
from gpuctl.host.reading import Host
from gpuctl.host.replace import Change, NotPutBack, put_back, remove_leftovers
from gpuctl.host.replace import replace as replace_file
from gpuctl.host.signals import HeldSignals
from gpuctl.model import ExitCode
from gpuctl.provision.daemon import DaemonProblem, NotUp, ask, reload, restart, validator, wait_for
from gpuctl.provision.result import Refused, Result, Wish
from gpuctl.provision.target import Target, find_target

RESTART_DEADLINE = 60.0
UNTOUCHED = "Nothing was changed."
LOOK = "Docker's log says more: journalctl -u docker -n 20."


@dataclass(frozen=True)
class Transaction:
    """`edit` turns the file's bytes (None: no file) into the wished ones and may raise Refused.

    `tell`: the daemon is to take the file up. `unit` is its systemd unit, `restart` whether that is restarted too.
    `undoes`: the change undoes an earlier one. `deadline` in seconds, for the daemon's answer.
    """

    host: Host
    target: Target
    edit: Callable[[bytes | None], bytes | None]
    tell: bool
    unit: str | None = None
    restart: bool = False
    undoes: bool = False
    deadline: float = 10.0


@dataclass(frozen=True)
class Planned:
    """What is to be done, and the result as far as it is known before that."""

    job: Transaction
    result: Result


def conduct(facts: Facts, wish: Wish, plan: Callable[[Target], Planned]) -> Result:
    """Finds the target, plans, and carries the plan out unless it is empty or a dry run. Returns how it ended."""
    result = Result(config=wish.config, dry_run=wish.dry_run)
    try:
        target = find_target(facts, wish.config)
        result = replace(result, config=target.path)
        files.examine(target.path)
        planned = plan(target)
    except Refused as refused:
        return _refused(result, refused)
    except files.FileProblem as problem:
        return replace(result, code=ExitCode.PROBLEM, error=f"{problem} {UNTOUCHED}")
    if wish.dry_run or not planned.result.plan.steps:
        return planned.result
    return _carried_out(planned.job, replace(planned.result, changed=False, diff="", verified=False))


def _carried_out(job: Transaction, result: Result) -> Result:
    try:
        return carry_out(job, result)
    except Refused as refused:
        return _refused(result, refused)
    except NotPutBack as problem:
        return replace(result, code=ExitCode.NOT_ROLLED_BACK, changed=True, error=str(problem))
    except files.FileProblem as problem:
        return replace(result, code=ExitCode.ROLLED_BACK, error=f"{problem} {UNTOUCHED}")


def _refused(result: Result, refused: Refused) -> Result:
    error = f"{refused} {UNTOUCHED}"
    return replace(result, code=refused.code, error=error, remedy=refused.remedy, diff=refused.diff)


def carry_out(job: Transaction, result: Result) -> Result:
    """Returns `result` completed by what was done.

    Raises Refused and FileProblem, the file being untouched then, and NotPutBack.
    """
    path = job.target.path
    with files.locked(path):
        remove_leftovers(path)
        before = files.read(path)
        new = job.edit(before.raw)
        if new == before.raw:
            return _told_anew(job, new, result)
        inspect = validator(job.host, job.target.docker, path) if job.target.live else _nothing
        with HeldSignals() as held:
            change = replace_file(before, new, inspect, undoes=job.undoes)
            changed = replace(result, changed=True, backup=change.kept, diff=diff(path, before.raw, new))
            if not job.tell:
                return changed
            try:
                with held.let_through():
                    _tell(job, new)
            except DaemonProblem as problem:
                return _undone(job, change, str(problem), result, is_up=not isinstance(problem, NotUp))
            except (KeyboardInterrupt, SystemExit):
                return _undone(job, change, "Interrupted.", result, is_up=not job.restart)
    return replace(changed, reloaded=True, verified=True, restarted=job.restart)


def settings_of(raw: bytes | None) -> Settings:
    """Returns what a file says of runtimes; nothing for no file, or for one that gpuctl does not understand."""
    try:
        return settings(raw or b"")
    except NotAccepted:
        return Settings({}, "")


def _nothing(path: str) -> None:
    """There is no daemon whose opinion of the file counts."""


def _endpoint(job: Transaction) -> str:
    endpoint = job.target.docker.endpoint.value
    return endpoint.url if endpoint else ""


def _tell(job: Transaction, raw: bytes | None) -> None:
    _reload(job, raw)
    if job.restart and job.unit:  # only now: a file that a reload rejects keeps Docker from starting
        _restart(job, job.unit, raw)


def _reload(job: Transaction, raw: bytes | None) -> None:
    told = reload(job.target.docker, job.unit)
    # dockerd does not reload where there is no file any more: it keeps what it has, as after any reload.
    wait_for(job.host, _endpoint(job), settings_of(raw), job.deadline, None if raw is None else told)


def _restart(job: Transaction, unit: str, raw: bytes | None) -> None:
    try:
        restart(unit)
        wait_for(job.host, _endpoint(job), settings_of(raw), RESTART_DEADLINE)
    except DaemonProblem as problem:
        raise NotUp(str(problem)) from None


def _tell_old(job: Transaction, raw: bytes | None, is_up: bool) -> None:
    try:
        _reload(job, raw)
    except DaemonProblem:
        if is_up or not job.unit:
            raise
        _restart(job, job.unit, raw)


def _told_anew(job: Transaction, new: bytes | None, result: Result) -> Result:
    """The file is as wished; the daemon may not have taken it up, after an edit by hand or a killed run."""
    known = not ask(job.host, _endpoint(job), settings_of(new)) if job.tell else False
    if not job.tell or (known and not job.restart):
        return replace(result, verified=known)
    try:
        _tell(job, new)
    except DaemonProblem as problem:
        code = ExitCode.NOT_ROLLED_BACK if isinstance(problem, NotUp) else ExitCode.PROBLEM
        error = f"{problem} {job.target.path} says so already and was left as it is. {LOOK}"
        return replace(result, code=code, error=error)
    return replace(result, reloaded=True, verified=True, restarted=job.restart)


def _undone(job: Transaction, change: Change, cause: str, result: Result, is_up: bool) -> Result:
    path = job.target.path
    try:
        put_back(change)
    except NotPutBack as problem:
        error = f"{cause} {problem}"
        return replace(result, code=ExitCode.NOT_ROLLED_BACK, changed=True, backup=change.kept, error=error)
    error = f"{cause} {path} is as it was before. {LOOK}"
    try:
        _tell_old(job, change.before.raw, is_up)
    except DaemonProblem as problem:
        code = ExitCode.ROLLED_BACK if is_up else ExitCode.NOT_ROLLED_BACK
        return replace(result, code=code, error=f"{error} Docker does not take up that one either: {problem}")
    return replace(result, code=ExitCode.ROLLED_BACK, error=error)
