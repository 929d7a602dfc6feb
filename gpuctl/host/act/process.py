"""The writing half of the door: telling a process, a systemd unit or a program something."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import BinaryIO, List, Mapping, Optional, Sequence

from gpuctl.bounds import ANSWER_LIMIT, ENDLESS, TEXT_LIMIT, TooLong
from gpuctl.host.look.local import LocalHost, child_environment
from gpuctl.host.look.programs import LOOK, PRINTED, kill_group, run_program, running, start
from gpuctl.host.look.reading import Outcome, Reading

_TAIL = 1 << 16
"""Bytes of what a long command said that are kept: its end."""
_ANSIBLE = "import sys; del sys.path[0]; from ansible.cli.%s import main; main()"
"""Not -m: it would load what lies in the current directory, which anybody may have written to."""
_CHILD_SUBREAPER = 36
_SHARED = "[mux]"
"""With which ssh ends the title of a process that keeps a connection for others."""
_GRACE = 10.0
"""Seconds for a long command that was cut off to be gone: until then it may hold a lock."""


class ProcessProblem(Exception):
    """A process could not be told. The message says which and why; nothing happened to it."""


def hang_up(pid: int, argv: Sequence[str]) -> None:
    """Sends SIGHUP to the process that runs `argv`. Raises ProcessProblem when it is gone, another, or not ours."""
    try:
        if not is_running(pid, argv):
            raise ProcessProblem("process %d is no longer %s." % (pid, argv[0]))
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        raise ProcessProblem("cannot send SIGHUP to %s (process %d): %s." % (argv[0], pid, error.strerror)) from error


def is_running(pid: int, argv: Sequence[str]) -> bool:
    """Returns whether the process still runs `argv`."""
    with suppress(OSError):
        return _words(pid) == [word for word in argv if word]
    return False


def systemctl(verb: str, unit: str, deadline: float) -> Reading:
    """Returns how `systemctl VERB UNIT` ended. `deadline` in seconds; systemd goes on with the job after it."""
    return LocalHost().run(["systemctl", "--no-ask-password", verb, unit], deadline)


def ask_program(argv: Sequence[str], stdin: str, deadline: float, most: int = TEXT_LIMIT) -> Reading:
    """Returns how a program ended that was told `stdin`. `deadline` in seconds; it is killed after it.

    It is killed as well where it prints more than `most` bytes.

    No look at the machine, and no method of a Host: the answer may be secret, and a snapshot keeps what a Host says.
    """
    return LocalHost().run(argv, deadline, stdin, most)


def ansible_words(program: str, arguments: Sequence[str]) -> List[str]:
    """Returns the words that start a program of the Ansible beside this Python, such as `playbook`."""
    return [sys.executable, "-c", _ANSIBLE % program, *arguments]


def ask_ansible(program: str, arguments: Sequence[str], environment: Mapping[str, str], deadline: float) -> Reading:
    """Returns how a program of Ansible's ended, and what it printed. `deadline` in seconds."""
    source = shlex.join(["ansible-" + program, *arguments])
    whole = {**child_environment(), **environment}
    return run_program(source, ansible_words(program, arguments), whole, deadline, most=ANSWER_LIMIT)


def adopt_orphans() -> None:
    """Has what is left behind by a program that this process starts be its own, to be ended (prctl(2))."""
    from ctypes import CDLL

    CDLL(None).prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants() -> None:
    """Kills all that this process has started, and what that has started, in whichever session it is.

    But for connections of ssh that others share (ControlPersist): they end by themselves when nobody uses them.
    """
    for pid in _descendants(os.getpid()):
        with suppress(OSError):
            if not any(word.endswith(_SHARED) for word in _words(pid)):
                os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> List[int]:
    """Parents before their children: none is left that starts another."""
    found = [pid]
    for one in found:
        found += _children(one)
    return found[1:]


def _children(pid: int) -> List[int]:
    """Of proc(5), of each thread; empty for a process that is gone."""
    children: List[int] = []
    with suppress(OSError):
        for thread in os.listdir("/proc/%d/task" % pid):
            with suppress(OSError), open("/proc/%d/task/%s/children" % (pid, thread), encoding="ascii") as file:
                children += map(int, file.read().split())
    return children


def run_long(
    argv: Sequence[str], deadline: float, environment: Optional[Mapping[str, str]] = None, folder: Optional[str] = None
) -> Reading:
    """Returns how a command ended that may take minutes; `text` is the end of what it said, on stdout and stderr.

    `deadline` in seconds; it is killed after it, and when this is interrupted. `folder` is where it runs.
    """
    source = shlex.join(argv)
    program = LocalHost().which(argv[0])
    if not program.ok:
        return Reading(source, Outcome.ERROR, detail="%s: %s" % (argv[0], program.detail))
    # A file, not a pipe: a service that the command starts may hold the pipe open for ever, and a command that writes
    # to a pipe dies in the middle of its work where gpuctl is killed.
    with tempfile.TemporaryFile() as said:
        try:
            process = start(
                [program.text, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={**child_environment(), **(environment or {})},
                cwd=folder,
            )
        except OSError as error:
            return Reading(source, Outcome.ERROR, detail=error.strerror or str(error))
        try:
            code = _ended(process, said, deadline)
            return Reading(source, Outcome.OK, _end_of(said), code)
        except subprocess.TimeoutExpired:
            _end(process)
            return Reading(source, Outcome.TIMEOUT, _end_of(said), detail="no end within %g s" % deadline)
        except TooLong as error:
            _end(process)
            return Reading(source, Outcome.ERROR, _end_of(said), detail=error.words)
        except BaseException:
            _end(process)
            raise
        finally:
            running.discard(process.pid)


def _ended(process: subprocess.Popen[bytes], said: BinaryIO, deadline: float) -> int:
    """Waits for the end of a command. Raises subprocess.TimeoutExpired, and TooLong where it prints endlessly."""
    end = time.monotonic() + deadline
    while True:
        try:
            return process.wait(LOOK)
        except subprocess.TimeoutExpired:
            if os.fstat(said.fileno()).st_size > ENDLESS:
                raise TooLong(ENDLESS, PRINTED) from None
            if time.monotonic() > end:
                raise


def _end(process: subprocess.Popen[bytes]) -> None:
    kill_group(process.pid)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)


def _end_of(said: BinaryIO) -> str:
    said.seek(max(0, said.seek(0, os.SEEK_END) - _TAIL))
    return said.read().decode("utf-8", "replace")


def _words(pid: int) -> List[str]:
    with open("/proc/%d/cmdline" % pid, "rb") as file:
        return [word for word in file.read().decode("utf-8", "replace").split("\0") if word]
