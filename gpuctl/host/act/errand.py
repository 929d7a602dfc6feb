"""What is done on a host when a fleet is changed: the host's own gpuctl plans, changes, proves and undoes there.

It goes to the host with what else travels (`gpuctl/collector.py`), and needs nothing but Python 3.8. The gpuctl that
it starts is the one that is installed there, or a single file of all of gpuctl that came along, for Python 3.10.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
from base64 import b64decode
from contextlib import contextmanager
from typing import IO, Any, Dict, Iterator, List, Optional, Sequence, Tuple

from gpuctl.bounds import ANSWER_LIMIT, with_end
from gpuctl.host.act.process import ask_program
from gpuctl.host.decode import object_in, objects_in, parse_object, text_in, texts_in
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.reading import Outcome
from gpuctl.model import ExitCode

ALL_OF_GPUCTL = (3, 10)
"""The oldest Python that a single file of all of gpuctl runs on (pyz/build.py)."""
_NEWEST = 15
_LOOK = 60.0
"""Seconds for what only looks."""
_LETTERS = 400
_PROCESS = re.compile(r"\bprocess \d+")
_NO_GPUCTL = "gpuctl is not installed there"


class _CannotChange(Exception):
    """Nothing on this host can change it. The message is a sentence."""


def fingerprint(change: Dict[str, Any]) -> str:
    """Returns the name of what a dry run of gpuctl's would change: the same on each host where that is the same.

    Of notes, undoing and process numbers nothing is in it. Raises ValueError for what is no dry run's answer.
    """
    steps = [
        [_PROCESS.sub("process", text_in(step, "text") or ""), text_in(step, "disturbs"), text_in(step, "diff")]
        for step in objects_in(change, "steps")
    ]
    told = [text_in(change, "engine"), text_in(change, "config"), text_in(change, "diff"), steps]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def planned(words: List[str], zipapp: str) -> bytes:
    """Returns what this host's gpuctl would do by these words, and which checks fail here that this mends, as JSON.

    {"code": 0, "change": {"schema": "gpuctl.install-runtime/1", …}, "said": "", "mends": ["docker.runtime"]}, or
    {"cannot": "gpuctl is not installed there, …"}. `zipapp` is a single file of gpuctl in base64, "" for none.
    Changes nothing.
    """
    try:
        with _gpuctl(zipapp) as gpuctl:
            code, change, said = _ask([*gpuctl, *words, "--dry-run"], _LOOK)
            failing = _failing(gpuctl) if code == ExitCode.GOOD and change.get("steps") else None
    except _CannotChange as problem:
        return _answer(cannot=str(problem))
    mends = sorted(one for one, commands in (failing or {}).items() if any("gpuctl " + words[0] in c for c in commands))
    return _answer(code=code, change=change, said=said, mends=mends)


def _answer(**told: Any) -> bytes:
    return json.dumps(told).encode()


@contextmanager
def _gpuctl(zipapp: str) -> Iterator[List[str]]:
    """The words that start this host's gpuctl. Raises _CannotChange."""
    installed = LocalHost().which("gpuctl")
    if installed.ok:
        yield [installed.text]
        return
    if not zipapp:
        raise _CannotChange(_NO_GPUCTL + ", and no single file of it came along (--zipapp).")
    python = _python()
    if python is None:
        raise _CannotChange(_NO_GPUCTL + ", and its single file needs a Python of 3.10 or newer.")
    with _nameless(b64decode(zipapp)) as path:
        yield [python, path]


def _python() -> Optional[str]:
    if sys.version_info >= ALL_OF_GPUCTL and sys.executable:
        return sys.executable
    names = ("python%d.%d" % (ALL_OF_GPUCTL[0], minor) for minor in range(_NEWEST, ALL_OF_GPUCTL[1] - 1, -1))
    return next((found.text for found in map(LocalHost().which, names) if found.ok), None)


@contextmanager
def _nameless(raw: bytes) -> Iterator[str]:
    """The path of a file that has no name and is gone with this process: in memory, where the kernel has that."""
    with _unnamed() as file:
        file.write(raw)
        file.flush()
        yield "/proc/%d/fd/%d" % (os.getpid(), file.fileno())


def _unnamed() -> IO[bytes]:
    try:
        return os.fdopen(os.memfd_create("gpuctl"), "w+b")
    except (AttributeError, OSError):
        return tempfile.TemporaryFile()


def _ask(argv: Sequence[str], deadline: float) -> Tuple[int, Dict[str, Any], str]:
    """How a gpuctl ended, the JSON that it answered, {} for none, and what it said besides."""
    said = ask_program([*argv, "--json"], "", deadline, ANSWER_LIMIT)
    words = with_end(" ".join(said.detail.split()), _LETTERS)
    if said.outcome is not Outcome.OK:
        return ExitCode.UNDETERMINED, {}, words
    try:
        return said.code, parse_object(said.text), words
    except ValueError:
        return said.code, {}, words or "What it answered is no JSON."


def _failing(gpuctl: Sequence[str]) -> Optional[Dict[str, Tuple[str, ...]]]:
    """The checks that fail on this host, each with its commands; None where that cannot be told."""
    _, report, _ = _ask([*gpuctl, "doctor"], _LOOK)
    try:
        findings = objects_in(report, "findings")
        return {
            text_in(one, "id") or "": texts_in(object_in(one, "remedy"), "commands")
            for one in findings
            if text_in(one, "status") == "fail" and not one.get("waived")
        }
    except ValueError:
        return None
