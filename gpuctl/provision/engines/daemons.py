"""What the engines share: telling a daemon, waiting for it, what it lacks in words, and the refusal of an edit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from gpuctl.engines.merge import REMOVED
from gpuctl.frozen import dataclass
from gpuctl.host.act.process import ProcessProblem, hang_up, systemctl
from gpuctl.host.look.reading import failure
from gpuctl.provision.change_set import DaemonProblem, NotUp
from gpuctl.provision.result import Refused

SYSTEMD_DEADLINE = 90.0
PAUSE, LONGEST_PAUSE = 0.01, 0.1
"""Seconds between two looks at a daemon: most have taken a file up by the second one."""


@dataclass(frozen=True)
class Runtimes:
    """The runtimes that files or a daemon have, name to program, and the default runtime.

    A program that files leave open is "", one that a daemon does not tell is None. `default` is "" for none.
    """

    programs: Mapping[str, str | None]
    default: str


def difference(title: str, wanted: Runtimes, has: Runtimes) -> str:
    """Returns in which way what a daemon has differs from what its files say, "" when it has all of that."""
    for name, program in wanted.programs.items():
        if name not in has.programs:
            return f"{title} does not list the runtime {name}"
        there = has.programs[name]
        if program and there is not None and there != program:
            return f"{title} lists the runtime {name} as {there}, not {program}"
    if wanted.default and has.default != wanted.default:
        return f"{title}'s default runtime is {has.default}, not {wanted.default}"
    return ""


def not_taken_up(old: Runtimes, new: Runtimes, has: Runtimes) -> list[str]:
    """Returns what files say now, and did not before, and a daemon does not have; in words."""
    came = {name: program for name, program in new.programs.items() if old.programs.get(name, REMOVED) != program}
    lacking = [name for name, program in came.items() if difference("", Runtimes({name: program}, ""), has)]
    is_default = new.default not in ("", old.default, has.default)
    return [f"the runtime {name}" for name in lacking] + [f"the default runtime {new.default}"] * is_default


def tell(verb: str, unit: str) -> None:
    """Has systemd reload or restart a unit. Raises DaemonProblem."""
    done = systemctl(verb, unit, SYSTEMD_DEADLINE)
    if not done.ok:
        raise DaemonProblem(f"`{done.source}` failed: {failure(done).rstrip('.')}.")


def tell_process(pid: int, argv: Sequence[str]) -> None:
    """Sends SIGHUP to a daemon that no systemd runs. Raises DaemonProblem."""
    try:
        hang_up(pid, argv)
    except ProcessProblem as problem:
        raise DaemonProblem(str(problem)) from None


@contextmanager
def restarted(unit: str) -> Iterator[None]:
    """Restarts a unit; the body waits for what comes up. Raises NotUp where either fails."""
    try:
        tell("restart", unit)
        yield
    except DaemonProblem as problem:
        raise NotUp(str(problem)) from None


def wait(lacks: Callable[[float], str], deadline: float, since: str = "it was told") -> None:
    """Returns once nothing is lacking. Raises DaemonProblem with what was lacking last, after `deadline` seconds.

    `lacks` is handed the seconds that are left for its answer; `since` says from when on they count.
    """
    end, pause = time.monotonic() + deadline, PAUSE
    while problem := lacks(max(LONGEST_PAUSE, end - time.monotonic())):
        if time.monotonic() >= end:
            raise DaemonProblem(f"{problem}, {deadline:g} s after {since}.")
        time.sleep(pause)
        pause = min(LONGEST_PAUSE, 2 * pause)


def not_restarted(title: str) -> Refused:
    """Returns the refusal of --restart where systemd does not run the daemon."""
    return Refused(f"systemd does not run this {title}: restart it as it was started, and leave out --restart.")


class Fault(Protocol):
    """Why a document is not edited: NotAccepted, that of JSON or that of TOML, of which an engine needs but one."""

    replaceable: bool

    def at(self, path: str) -> str:
        """Returns what is wrong, with file and line."""


def refused(path: str, error: Fault) -> Refused:
    """Returns the refusal of an edit, with the way out where there is one."""
    hint = " Use --force to replace that entry." if error.replaceable else ""
    return Refused(f"{error.at(path)}.{hint}")
