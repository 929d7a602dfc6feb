"""What is done on a host when a fleet is changed: the host's own gpuctl plans, changes, proves and undoes there.

It goes to the host with what else travels (`gpuctl/collector.py`), and needs nothing but Python 3.8. The gpuctl that
it starts is the one that is installed there, or a single file of all of gpuctl that came along, for Python 3.10.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import sys
import tempfile
from base64 import b64decode
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any, Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from gpuctl.bounds import ANSWER_LIMIT, with_end
from gpuctl.host.act.process import ask_program
from gpuctl.host.decode import object_in, objects_in, parse_object, text_in, texts_in
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.reading import Outcome, Reading
from gpuctl.host.write.files import FileProblem
from gpuctl.host.write.lock import locked
from gpuctl.model import ExitCode

ALL_OF_GPUCTL = (3, 10)
"""The oldest Python that a single file of all of gpuctl runs on (pyz/build.py)."""
_NEWEST = 15
_LOOK = 60.0
"""Seconds for what only looks."""
_LETTERS = 400
_PROCESS = re.compile(r"\bprocess \d+")
_ENDS = {int(ExitCode.ROLLED_BACK): "rolled-back", int(ExitCode.NOT_ROLLED_BACK): "stuck"}
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
    mends = sorted(one for one, told in (failing or {}).items() if any(_says(command, words) for command in told))
    return _answer(code=code, change=change, said=said, mends=mends)


def applied(words: List[str], zipapp: str, plan: str, mends: Sequence[str], smoke: bool, deadline: float) -> bytes:
    """Carries out what `planned` said, if it still says the same, and returns how that ended as JSON.

    {"ended": "applied", "run": "20261130T093703Z-1f", "detail": ""}. It has worked where no check fails that did not
    fail before, none of `mends` does, and, with `smoke`, a GPU container ran; else it is rolled back by its journal.
    `plan`: the fingerprint that was approved. `deadline` in seconds, for each of the steps.
    """
    return _alone(zipapp, lambda gpuctl: _applied(gpuctl, words, plan, set(mends), smoke, deadline))


def undone(runs: Sequence[str], zipapp: str, options: List[str], deadline: float) -> bytes:
    """Rolls back that of these runs which is in this host's journal, and returns how that ended as JSON."""
    return _alone(zipapp, lambda gpuctl: _undone(gpuctl, set(runs), options, deadline))


def proved(options: Sequence[str], zipapp: str, deadline: float) -> Reading:
    """Returns how `gpuctl smoke` ended here that this host's gpuctl ran with these options; its text is JSON.

    `deadline` in seconds. `zipapp` as for `planned`; where there is no gpuctl at all, the reading says so.
    """
    words = ["smoke", *options, "--json"]
    source = shlex.join(["gpuctl", *words])
    try:
        with _gpuctl(zipapp) as gpuctl:
            return replace(ask_program([*gpuctl, *words], "", deadline, ANSWER_LIMIT), source=source)
    except _CannotChange as problem:
        return Reading(source, Outcome.ABSENT, detail=str(problem))


Ended = Dict[str, Optional[str]]


def _alone(zipapp: str, work: Callable[[List[str]], Ended]) -> bytes:
    try:
        with _gpuctl(zipapp) as gpuctl, locked(0.0, "fleet"):
            return _answer(**work(gpuctl))
    except _CannotChange as problem:
        return _answer(**_ended("cannot-change", str(problem)))
    except FileProblem as problem:
        return _answer(**_ended("busy", str(problem)))


def _ended(state: str, detail: str = "", run: Optional[str] = None) -> Ended:
    return {"ended": state, "run": run, "detail": detail}


def _applied(gpuctl: List[str], words: List[str], plan: str, mends: Set[str], smoke: bool, deadline: float) -> Ended:
    not_begun = _not_begun(gpuctl, words, plan)
    if not_begun:
        return not_begun
    before = _failing(gpuctl)
    if before is None:
        return _ended("refused", "gpuctl doctor gives no answer there, by which the change could be verified.")
    code, done, said = _ask([*gpuctl, *words], deadline)
    run, why = text_in(done, "run"), text_in(done, "error") or said
    if code or not done:
        end = _ENDS.get(code, "refused") if done else "stuck"  # without an answer nobody knows how far it came
        return _ended(end, why, run)
    wrong = _wrong(gpuctl, set(before), mends, smoke, deadline)
    return _rolled_back(gpuctl, run, words, wrong, deadline) if wrong else _ended("applied", run=run)


def _not_begun(gpuctl: List[str], words: List[str], plan: str) -> Optional[Ended]:
    """Why nothing is to be changed, None where the plan still stands."""
    code, change, said = _ask([*gpuctl, *words, "--dry-run"], _LOOK)
    if code or not change:
        return _ended("refused", text_in(change, "error") or said)
    if not change.get("steps"):
        return _ended("unchanged", run=_last(gpuctl, words[0]))
    if fingerprint(change) != plan:
        return _ended("plan-changed", "It would be changed otherwise than the plan says: make a new one.")
    return None


def _wrong(gpuctl: List[str], before: Set[str], mends: Set[str], smoke: bool, deadline: float) -> str:
    """What is not as it should be after a change, "" where all is."""
    after = _failing(gpuctl)
    if after is None:
        return "gpuctl doctor gives no answer after it."
    new, left = sorted(set(after) - before), sorted(set(after) & before & mends)
    if new:
        return "After it fails what did not fail before: %s." % ", ".join(new)
    if left:
        return "After it fails still: %s." % ", ".join(left)
    code, _, said = _ask([*gpuctl, "smoke"], deadline) if smoke else (0, {}, "")
    return "gpuctl smoke ends with %d: %s" % (code, said) if code else ""


def _rolled_back(gpuctl: List[str], run: Optional[str], words: List[str], wrong: str, deadline: float) -> Ended:
    if run is None:
        return _ended("stuck", wrong + " No run of it is in the journal that could be rolled back.")
    code, done, said = _ask([*gpuctl, "rollback", run, *_kept_options(words)], deadline)
    if code:
        why = text_in(done, "error") or said
        return _ended("stuck", "%s It could not be rolled back: %s" % (wrong, why), run)
    return _ended("rolled-back", wrong, run)


def _kept_options(words: Sequence[str]) -> List[str]:
    return [one for one in words if one == "--no-reload"]


def _undone(gpuctl: List[str], runs: Set[str], options: List[str], deadline: float) -> Ended:
    known = [one for one in _history(gpuctl) if text_in(one, "run") in runs]
    if not known:
        return _ended("refused", "None of the run's changes is in its journal.")
    for one in known:
        if text_in(one, "state") != "undone":
            code, done, said = _ask([*gpuctl, "rollback", text_in(one, "run") or "", *options], deadline)
            if code:
                return _ended("stuck", text_in(done, "error") or said, text_in(one, "run"))
    return _ended("undone", run=text_in(known[0], "run"))


def _last(gpuctl: Sequence[str], command: str) -> Optional[str]:
    """The newest run of a command that stands."""
    stand = (one for one in _history(gpuctl) if text_in(one, "command") == command and text_in(one, "state") == "done")
    return next((text_in(one, "run") for one in stand), None)


def _history(gpuctl: Sequence[str]) -> Tuple[Dict[str, Any], ...]:
    """This host's runs, the newest first."""
    _, told, _ = _ask([*gpuctl, "history"], _LOOK)
    return objects_in(told, "runs")


def _says(command: str, words: Sequence[str]) -> bool:
    """Whether a remedy's command is what `words` ask for, or asks for less."""
    said = command.split()
    return words[0] in said and set(said[said.index(words[0]) :]) <= set(words)


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
