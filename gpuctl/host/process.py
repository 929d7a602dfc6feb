"""The writing half of the door: telling a process, a systemd unit or a program something."""

from __future__ import annotations

import os
import signal
from typing import List, Sequence

from gpuctl.host.local import LocalHost
from gpuctl.host.reading import Reading


class ProcessProblem(Exception):
    """A process could not be told. The message says which and why; nothing happened to it."""


def hang_up(pid: int, argv: Sequence[str]) -> None:
    """Sends SIGHUP to the process that runs `argv`. Raises ProcessProblem when it is gone, another, or not ours."""
    try:
        if _words(pid) != [word for word in argv if word]:
            raise ProcessProblem("process %d is no longer %s." % (pid, argv[0]))
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        raise ProcessProblem("cannot send SIGHUP to %s (process %d): %s." % (argv[0], pid, error.strerror)) from error


def systemctl(verb: str, unit: str, deadline: float) -> Reading:
    """Returns how `systemctl VERB UNIT` ended. `deadline` in seconds; systemd goes on with the job after it."""
    return LocalHost().run(["systemctl", "--no-ask-password", verb, unit], deadline)


def ask_program(argv: Sequence[str], stdin: str, deadline: float) -> Reading:
    """Returns how a program ended that was told `stdin`. `deadline` in seconds; it is killed after it.

    No look at the machine, and no method of a Host: the answer may be secret, and a snapshot keeps what a Host says.
    """
    return LocalHost().run(argv, deadline, stdin)


def _words(pid: int) -> List[str]:
    with open("/proc/%d/cmdline" % pid, "rb") as file:
        return [word for word in file.read().decode("utf-8", "replace").split("\0") if word]
