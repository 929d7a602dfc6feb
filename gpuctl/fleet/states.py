"""What an event of Ansible's says of a host: in which one state it ends, or that it has to be asked once more.

Ansible has three events for what here are seven states, and tells them apart in words; the words of ansible-core 2.17
to 2.21, ssh and sudo stand below.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from gpuctl.bounds import with_end
from gpuctl.fleet.payload import ANSWER
from gpuctl.fleet.run_folder import State
from gpuctl.frozen import dataclass
from gpuctl.host.record.archive import SIZE_LIMIT

OK, FAILED, UNREACHABLE = "runner_on_ok", "runner_on_failed", "runner_on_unreachable"
LETTERS = 400
"""Of what is told of a host: the end, where what failed first stands."""
EMPTY = "Ansible says that it went well, and gives no result"
_OLD = re.compile(
    r"requires (?:a minimum of )?Python (?:version )?[0-9.]+(?: or newer on the target)?\. "
    r"Current version: (?P<version>\d+\.\d+)"
    r"|SyntaxError: (?:invalid syntax|future feature annotations is not defined)"
)
_LATE = re.compile(r"[Tt]imed out after|failed to execute in the expected time frame")
_NO_PYTHON = re.compile(
    r"interpreter \S+ was not found|python[0-9.]*: (?:command )?not found|No python interpreters found"
    r"|/python[0-9.]*: No such file or directory",
    re.IGNORECASE,
)
_NO_TTY = re.compile(r"sudo: (?:sorry, )?you must have a tty to run sudo|sudo: a terminal is required")
_NO_RIGHTS = re.compile(
    r"Missing \S+ password|Incorrect \S+ password|a password is required|not in the sudoers file|may not run sudo"
    r"|is not allowed to (?:execute|run)|privilege escalation|Sorry, try again|sudo: not found|sudo: command not found"
    r"|waiting for become success|Authentication failure|incorrect password attempt",
    re.IGNORECASE,
)
_WRONG_KEY, _CHANGED_KEY = "Host key verification failed", "IDENTIFICATION HAS CHANGED"
_NOISE = re.compile(
    r"\x1b\[[0-9;]*[A-Za-z]|\(traceback unavailable\)|^Task failed: "
    r"|Data could not be sent to remote host \S+\. Make sure this host can be reached over ssh: "
    r"|Failed to connect to the host via ssh: |Module result deserialization failed: No start of json char found"
)
"""What Ansible says around another program's words."""


class Again(str, Enum):
    """Why a host is asked once more."""

    EMPTY = "empty"
    NO_TTY = "no-tty"
    """Its sudo wants a terminal (requiretty), which a module that comes over an open connection has not."""


@dataclass(frozen=True)
class Told:
    """What an event says: the host's state, a sentence on it, and its snapshot where it has reported."""

    state: State
    detail: str = ""
    snapshot: bytes | None = None
    again: Again | None = None


def told(event: str, result: Mapping[str, Any]) -> Told:
    """Returns what an event on a host says, by its name and its result, which the host may have made up."""
    answer = _answer(result)
    if answer is not None:
        return _answered(answer)
    words = _words(result)
    if event == UNREACHABLE:
        return Told(State.UNREACHABLE, _unreached(words))
    if event == OK:
        return Told(State.LOST, f"{EMPTY}.", again=Again.EMPTY)
    return _failed(result, words)


def _answered(answer: Mapping[str, Any]) -> Told:
    snapshot, python, error = answer.get("snapshot"), answer.get("python"), answer.get("error")
    if isinstance(snapshot, str):
        return _with_snapshot(snapshot)
    if isinstance(python, str):
        return Told(State.PYTHON_TOO_OLD, _too_old(python))
    return Told(State.BROKEN, _end(error) if isinstance(error, str) else "What came back is no answer of gpuctl's.")


def _with_snapshot(packed: str) -> Told:
    if len(packed) > SIZE_LIMIT * 4 // 3 + 4:
        return Told(State.BROKEN, f"What came back is larger than the {SIZE_LIMIT} bytes of a snapshot.")
    try:
        return Told(State.REPORTED, snapshot=base64.b64decode(packed, validate=True))
    except (binascii.Error, ValueError):
        return Told(State.BROKEN, "What came back is no snapshot: it is not base64.")


def _failed(result: Mapping[str, Any], words: str) -> Told:
    if result.get("timedout") or _LATE.search(words):
        return Told(State.LOST, "It gave no answer before the host's deadline.")
    if _NO_TTY.search(words):
        return Told(State.NO_RIGHTS, _end(words), again=Again.NO_TTY)
    old = _OLD.search(words)
    if old:
        return Told(State.PYTHON_TOO_OLD, _too_old(old["version"] or ""))
    if _NO_PYTHON.search(words):
        return Told(State.NO_PYTHON, f"There is no Python where Ansible looks for one: {_end(words)}")
    if _NO_RIGHTS.search(words):
        return Told(State.NO_RIGHTS, _end(words))
    return Told(State.BROKEN, _end(words) or "It failed, and Ansible does not say how.")


def _unreached(words: str) -> str:
    if _WRONG_KEY in words:
        known = "Its host key is not the one that is known" if _CHANGED_KEY in words else "Its host key is not known"
        return f"{known}, and ssh does not enter it: {_WRONG_KEY}."
    return _end(words) or "ssh does not say why."


def _too_old(version: str) -> str:
    has = f"Its Python is {version}" if version else "Its Python does not know this Ansible's words"
    return f"{has}: gpuctl needs 3.8, and a newer Ansible a newer one."


def _answer(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The module's answer: in the result, or in what was printed, where others' words kept Ansible from reading it."""
    own = result.get(ANSWER)
    if isinstance(own, Mapping):
        return own
    printed = result.get("module_stdout")
    lines = printed.splitlines() if isinstance(printed, str) and f'"{ANSWER}"' in printed else []
    return next(filter(None, map(_in_line, reversed(lines))), None)


def _in_line(line: str) -> Mapping[str, Any] | None:
    start = line.find('{"')
    try:
        found = json.loads(line[start:]) if start >= 0 else None
    except (ValueError, RecursionError):
        return None
    own = found.get(ANSWER) if isinstance(found, dict) else None
    return own if isinstance(own, dict) else None


def _words(result: Mapping[str, Any]) -> str:
    """What is said of a failure, what failed first last."""
    named = (result.get(name) for name in ("msg", "exception", "module_stdout", "module_stderr"))
    said = (_NOISE.sub("", one).strip() for one in named if isinstance(one, str))
    return "\n".join(one for one in said if one)


def _end(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return with_end(" ".join(lines), LETTERS)
