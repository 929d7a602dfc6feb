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
from gpuctl.frozen import dataclass
from gpuctl.host.act.process import ask_program
from gpuctl.host.decode import object_in, objects_in, parse_object, text_in, texts_in
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.reading import Outcome, Reading
from gpuctl.host.write.files import FileProblem
from gpuctl.host.write.journal import ASKED_BY
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
DOCTOR = "doctor"
_BOOT = "/proc/sys/kernel/random/boot_id"


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


@dataclass(frozen=True)
class Approved:
    """What a person has read and approved for this host, and by which name the fleet's run asks for it.

    `plan`: the fingerprint of the change. `mends`: checks that may fail no more after it. `deadline` in seconds, for
    each of the steps. `asked_again`: it was asked the same before, and its answer was lost.
    """

    words: List[str]
    plan: str
    mends: List[str]
    smoke: bool
    asked_by: str
    deadline: float
    asked_again: bool


def planned(words: List[str], zipapp: str) -> bytes:
    """Returns what this host's gpuctl would do by these words, and which checks fail here that this mends, as JSON.

    {"code": 0, "change": {"schema": "gpuctl.install-runtime/1", …}, "said": "", "mends": ["docker.runtime"],
    "here": "5e0c…"}, or {"cannot": "gpuctl is not installed there, …"}. `here`: `_here`. `zipapp` is a single file of
    gpuctl in base64, "" for none.
    Changes nothing.
    """
    try:
        with _gpuctl(zipapp) as gpuctl:
            code, change, said = _would(gpuctl, words)
            found = _findings(gpuctl) if code == ExitCode.GOOD and change.get("steps") else None
    except _CannotChange as problem:
        return _answer(cannot=str(problem))
    return _answer(code=code, change=change, said=said, mends=_mended_by(words, change, found or ()), here=_here())


def _here() -> str:
    """A name that this host has alone as long as it runs, whatever it is called, "" where it is not known.

    It is made of its kernel's boot and of the root that is seen: what shares a kernel has a root of its own. The
    machine's id would not do, which clones share, nor its GPUs, of which nothing is known before there is a driver.
    """
    boot, root = LocalHost().read(_BOOT).text.strip(), os.stat("/")
    return hashlib.sha256(("%s %d %d" % (boot, root.st_dev, root.st_ino)).encode()).hexdigest()[:32] if boot else ""


def applied(zipapp: str, approved: Dict[str, Any]) -> bytes:
    """Carries out what `planned` said, if it still says the same, and returns how that ended as JSON.

    {"ended": "applied", "runs": ["20261130T093703Z-1f"], "detail": "", "found": ["driver.persistence"]}. It has worked
    where no check fails that did not fail before, none does that it mends, and, with `smoke`, a GPU container ran; else
    it is rolled back by its journal. `found`: checks that fail or warn after it. `approved`: the fields of Approved.
    What is found to be done, since this was asked before, is verified as well, but for what failed before.
    """
    return _alone(zipapp, lambda gpuctl: _applied(gpuctl, Approved(**approved)))


def undone(runs: Sequence[str], zipapp: str, options: List[str], deadline: float) -> bytes:
    """Rolls back that of these runs which is in this host's journal, and returns how that ended as JSON."""
    return _alone(zipapp, lambda gpuctl: _undone(gpuctl, set(runs), options, deadline))


def undone_of(asked_by: str, zipapp: str, options: List[str], deadline: float) -> bytes:
    """Rolls back what a fleet's run had done here, if anything, and returns how that ended as JSON.

    For hosts that it has asked to change, and that have not said how that ended.
    """

    def work(gpuctl: List[str]) -> Ended:
        runs = set(_standing(gpuctl, asked_by, ("done", "interrupted", "running", "stuck")))
        return _undone(gpuctl, runs, options, deadline) if runs else _ended("undone")

    return _alone(zipapp, work)


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


Ended = Dict[str, Any]
Findings = Tuple[Dict[str, Any], ...]


def _alone(zipapp: str, work: Callable[[List[str]], Ended]) -> bytes:
    try:
        with _gpuctl(zipapp) as gpuctl, locked(0.0, "fleet"):
            return _answer(**work(gpuctl))
    except _CannotChange as problem:
        return _answer(**_ended("cannot-change", str(problem)))
    except FileProblem as problem:
        return _answer(**_ended("busy", str(problem)))


def _ended(state: str, detail: str = "", runs: Sequence[str] = ()) -> Ended:
    return {"ended": state, "runs": list(runs), "detail": detail}


def _would(gpuctl: List[str], words: Sequence[str]) -> Tuple[int, Dict[str, Any], str]:
    """How a dry run ended, the change that it tells of, and what was said besides.

    The doctor's change is that of all that it may mend, with the `checks` that complain of that.
    """
    code, told, said = _ask([*gpuctl, *words, "--dry-run"], _LOOK)
    if words[0] != DOCTOR or "fix" not in told:
        return code, told, said
    mends = objects_in(told, "fix")
    if any("allowed" not in one for one in mends):
        return ExitCode.PROBLEM, {"error": "Its gpuctl is too old to tell what it may mend."}, said
    allowed = [one for one in mends if one["allowed"]]
    steps = [step for one in allowed for step in objects_in(one, "steps")]
    error = next((text_in(one, "error") for one in mends if text_in(one, "error")), None)
    if error and not steps:
        return ExitCode.PROBLEM, {"error": error}, said
    return ExitCode.GOOD, {"steps": steps, "checks": [id for one in allowed for id in texts_in(one, "checks")]}, said


def _mended_by(words: Sequence[str], change: Dict[str, Any], found: Findings) -> List[str]:
    """The checks that fail and that a change is to mend."""
    if words[0] == DOCTOR:
        return sorted(_ids(found, "fail").intersection(texts_in(change, "checks")))
    failing = (one for one in found if one.get("status") == "fail")
    commands = ((text_in(one, "id") or "", texts_in(object_in(one, "remedy"), "commands")) for one in failing)
    return sorted(id for id, told in commands if any(_says(command, words) for command in told))


def _applied(gpuctl: List[str], approved: Approved) -> Ended:
    code, change, said = _would(gpuctl, approved.words)
    if code or not change:
        return _ended("refused", text_in(change, "error") or said)
    if not change.get("steps"):
        runs = _standing(gpuctl, approved.asked_by, ("done",)) if approved.asked_again else []
        return _verified(gpuctl, approved, runs, None) if runs else _ended("unchanged")
    if fingerprint(change) != approved.plan:
        return _ended("plan-changed", "It would be changed otherwise than the plan says: make a new one.")
    before = _findings(gpuctl)
    if before is None:
        return _ended("refused", "gpuctl doctor gives no answer there, by which the change could be verified.")
    return _carried_out(gpuctl, approved, change, before)


def _carried_out(gpuctl: List[str], approved: Approved, change: Dict[str, Any], before: Findings) -> Ended:
    asked = ["env", "%s=%s" % (ASKED_BY, approved.asked_by), *gpuctl]
    code, told, said = _ask([*asked, *_exact(approved.words, change)], approved.deadline)
    parts = objects_in(told, "fix") if approved.words[0] == DOCTOR else (told,)
    runs = [text_in(one, "run") or "" for one in parts if one.get("run")]
    stand = [text_in(one, "run") or "" for one in parts if one.get("run") and not one.get("error")]
    why = next((text_in(one, "error") for one in parts if one.get("error")), None) or said
    if not told:  # nobody knows how far it came
        return _ended("stuck", why)
    if code == ExitCode.ROLLED_BACK and stand:  # of several changes only the last one has failed
        return _rolled_back(gpuctl, stand, why, approved)
    if code in _ENDS or (code and approved.words[0] != DOCTOR):  # the doctor's other codes tell of the host
        return _ended(_ENDS.get(code, "refused"), why, runs)
    return _verified(gpuctl, approved, stand, before)


def _verified(gpuctl: List[str], approved: Approved, runs: List[str], before: Optional[Findings]) -> Ended:
    """How a change ended that these runs have made, after which all has to be as it should; else they are taken back.

    `before`: what was found then, None where that is not known any more.
    """
    after = _findings(gpuctl)
    wrong = _wrong(after, before, set(approved.mends)) or (_not_smoked(gpuctl, approved) if approved.smoke else "")
    ended = _rolled_back(gpuctl, runs, wrong, approved) if wrong else _ended("applied", runs=runs)
    return {**ended, "found": sorted(_ids(after or (), "fail", "warn"))}


def _exact(words: List[str], change: Dict[str, Any]) -> List[str]:
    """The words that do what was planned: the doctor, left to itself, goes on with what it finds afterwards."""
    if words[0] != DOCTOR:
        return words
    return [DOCTOR, "--fix", "--yes", "--only", ",".join(texts_in(change, "checks"))]


def _wrong(after: Optional[Findings], before: Optional[Findings], mends: Set[str]) -> str:
    """What is not as it should be after a change, "" where all is. `before` None: nothing can be new.

    A check that fails now, and was skipped because what it rests on had failed, was no better before.
    """
    if after is None:
        return "gpuctl doctor gives no answer after it."
    failing = _ids(after, "fail")
    new = sorted(failing - _ids(before, "fail", "skip")) if before is not None else []
    left = sorted(failing & mends)
    if new:
        return "After it fails what did not fail before: %s." % ", ".join(new)
    return "After it fails still: %s." % ", ".join(left) if left else ""


def _not_smoked(gpuctl: List[str], approved: Approved) -> str:
    code, told, said = _ask([*gpuctl, "smoke"], approved.deadline)
    return "gpuctl smoke ends with %d: %s" % (code, text_in(told, "cause") or said) if code else ""


def _rolled_back(gpuctl: List[str], runs: List[str], wrong: str, approved: Approved) -> Ended:
    """Takes back what a change has done, the last first."""
    if not runs:
        return _ended("stuck", wrong + " No run of it is in the journal that could be rolled back.")
    for run in reversed(runs):
        code, done, said = _ask([*gpuctl, "rollback", run, *_kept_options(approved.words)], approved.deadline)
        if code:
            why = text_in(done, "error") or said
            return _ended("stuck", "%s It could not be rolled back: %s" % (wrong, why), runs)
    return _ended("rolled-back", wrong, runs)


def _kept_options(words: Sequence[str]) -> List[str]:
    return [one for one in words if one == "--no-reload"]


def _undone(gpuctl: List[str], runs: Set[str], options: List[str], deadline: float) -> Ended:
    known = [one for one in _history(gpuctl) if text_in(one, "run") in runs]
    if not known:
        return _ended("refused", "None of the run's changes is in its journal.")
    names = [text_in(one, "run") or "" for one in known]
    for one in known:
        if text_in(one, "state") != "undone":
            code, done, said = _ask([*gpuctl, "rollback", text_in(one, "run") or "", *options], deadline)
            if code:
                return _ended("stuck", text_in(done, "error") or said, names)
    return _ended("undone", runs=names)


def _standing(gpuctl: Sequence[str], asked_by: str, states: Sequence[str]) -> List[str]:
    """What a fleet's run had done that is in these states, by its runs in this host's journal, the oldest first."""
    stand = (one for one in reversed(_history(gpuctl)) if text_in(one, "state") in states)
    return [text_in(one, "run") or "" for one in stand if text_in(one, "asked_by") == asked_by]


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


def _findings(gpuctl: Sequence[str]) -> Optional[Findings]:
    """What doctor finds on this host and is not waived; None where it gives no answer."""
    _, report, _ = _ask([*gpuctl, "doctor"], _LOOK)
    found = objects_in(report, "findings")
    return tuple(one for one in found if not one.get("waived")) if found else None


def _ids(findings: Findings, *statuses: str) -> Set[str]:
    return {text_in(one, "id") or "" for one in findings if one.get("status") in statuses}
