"""What `gpuctl smoke` said on a host of a fleet, as a finding: judged here, of the words that its snapshot has of it.

Of what a host says, sentences are shown, and no command: what a person is to type comes from this gpuctl alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gpuctl.bounds import with_end
from gpuctl.command import Command, command
from gpuctl.fleet.run_folder import WITHOUT_GPUCTL, Run
from gpuctl.host.decode import flag_in, object_in, objects_in, parse_object, text_in
from gpuctl.host.look.reading import Host, Outcome, Reading, failure
from gpuctl.model import Finding, Remedy, Report, Status, usual_action
from gpuctl.smoke.explain import DOCTOR, explain

SCHEMA = "gpuctl.smoke/1"
LAYER = "smoke"
"""What the ids of these findings begin with. After it comes a family of failures, a step of --deep, the check of the
doctor's that fails for the same reason, or one of not-run, not-understood, not-ready, refused, other-gpus, untold."""
ZIPAPP = "--zipapp"
_STEP = re.compile(r"[a-z]{1,20}(-[a-z]{1,20}){0,3}")
_LETTERS = 400


def smoke_report(host: Host, run: Run, doctors: Report) -> Report:
    """Returns what `gpuctl smoke` found on a host of a run, one finding or none. `doctors`: what the doctor says."""
    found = _finding(host.run(["gpuctl", *run.question, "--json"]), run, doctors)
    return Report(() if found is None else (found,))


def _finding(reading: Reading, run: Run, doctors: Report) -> Finding | None:
    if reading.outcome is not Outcome.OK:
        remedy = Remedy(WITHOUT_GPUCTL, _carrying(run)) if reading.outcome is Outcome.ABSENT else None
        return _found("not-run", Status.UNKNOWN, _sentence(f"gpuctl smoke did not run: {failure(reading)}"), remedy)
    try:
        said = parse_object(reading.text)
        if said.get("schema") != SCHEMA:
            raise ValueError(f"it is none of {SCHEMA}")
        return _judged(said, doctors)
    except ValueError as error:
        words = " ".join(reading.detail.split()) or f"its answer is not understood: {error}"
        return _found("not-understood", Status.UNKNOWN, _sentence(f"gpuctl smoke ended with {reading.code}: {words}"))


def _carrying(run: Run) -> tuple[Command, ...]:
    """The command that asks the same hosts and brings them gpuctl, where that is known and has not been tried."""
    if run.asked is None or ZIPAPP in run.asked:
        return ()
    return (command("gpuctl", "fleet", *run.question, *run.asked, ZIPAPP, "gpuctl.pyz"),)


def _judged(said: Mapping[str, Any], doctors: Report) -> Finding | None:
    passed, cause, error = flag_in(said, "passed"), text_in(said, "cause") or "", text_in(said, "error")
    if passed:
        return None
    status = Status.UNKNOWN if passed is None else Status.FAIL
    remedy = text_in(object_in(said, "remedy"), "text")
    told = Remedy(remedy) if remedy else DOCTOR
    steps = (text_in(one, "step") or "" for one in objects_in(object_in(said, "deep"), "failures"))
    step = next(filter(_STEP.fullmatch, steps), None)
    if step:
        return _found(step, status, cause, told)
    if error:
        why = explain(error, doctors)
        return _found(why.family or "refused", status, why.cause, why.remedy)
    same = next((one for one in doctors.findings if one.status is Status.FAIL and one.message == cause), None)
    if same:
        return _found(same.id, status, cause, same.remedy)
    if object_in(said, "seen"):
        return _found("other-gpus", status, cause, told)
    return _found("untold" if object_in(said, "expected") else "not-ready", status, cause, told)


def _sentence(words: str) -> str:
    return with_end(words.rstrip("."), _LETTERS) + "."


def _found(kind: str, status: Status, message: str, remedy: Remedy | None = None) -> Finding:
    return Finding(f"{LAYER}.{kind}", LAYER, status, message, remedy=remedy, action=usual_action(status, remedy))
