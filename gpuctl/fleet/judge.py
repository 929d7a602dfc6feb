"""The hosts of a run judged, one after another: what is said of each snapshot, and what hosts are compared by.

A stranger may have written a snapshot: each is judged in a process that has little time and memory, and comes back as a
few words of bounded length. No two snapshots are in memory at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from gpuctl.bounds import plain, with_end
from gpuctl.checks.every import diagnose
from gpuctl.checks.needed import subjects
from gpuctl.checks.select import chosen
from gpuctl.facts.collect import HOST_NAMES
from gpuctl.facts.gather import gather
from gpuctl.facts.machine.identity import Identity
from gpuctl.facts.packages.history import PackageHistory
from gpuctl.fleet.key_facts import GpuFacts, KeyFacts, key_facts
from gpuctl.fleet.run_folder import HostOutcome, RecordedRun, Run, State
from gpuctl.frozen import dataclass
from gpuctl.host.act.confined import Exceeded, each_confined
from gpuctl.host.look.limits import limit_reached
from gpuctl.host.record.archive import BadSnapshot, decode
from gpuctl.host.write.files import FileProblem
from gpuctl.model import Action, Finding, Report, Status

LOUD = (Status.FAIL, Status.WARN, Status.UNKNOWN)
LONGEST_TEXT = 2000
"""Characters of a sentence that a finding says."""
_MOST_COMMANDS, _MOST_GPUS = 20, 256


@dataclass(frozen=True)
class SaidFinding:
    """A finding that is none of a good host, in words: `waived` is why somebody accepts it, "" where nobody does."""

    id: str
    status: Status
    message: str
    remedy: str = ""
    commands: tuple[str, ...] = ()
    disturbs: str = ""
    waived: str = ""


@dataclass(frozen=True)
class JudgedHost:
    """One host of a run: how it ended, and where it has reported what the doctor says. `at`: seconds since the epoch.

    `hostname` is what it calls itself; `key` is None where it has not reported.
    """

    outcome: HostOutcome
    at: float = 0.0
    hostname: str = ""
    key: KeyFacts | None = None
    findings: tuple[SaidFinding, ...] = ()
    action: Action = Action.NOTHING_NOW


def judge_run(run: RecordedRun) -> Iterator[JudgedHost]:
    """Yields every host of a run: those that have reported judged by the knowledge of today, and the others.

    What is no snapshot, or takes too much to judge, makes its host a broken one. Hosts that were never asked are lost.
    Call it where no other thread runs.
    """
    silent = [host for host in run.hosts if host not in run.outcomes]
    for host in silent:
        yield JudgedHost(HostOutcome(host, State.LOST, run.run.at, "the run ended before it was asked"))
    outcomes = tuple(run.outcomes.values())
    yield from (JudgedHost(one) for one in outcomes if one.state is not State.REPORTED)
    reported = [one for one in outcomes if one.state is State.REPORTED]
    for outcome, answer in each_confined(reported, lambda one: words(lambda: judged(run.snapshot(one), run.run))):
        yield _read(outcome, heard(answer))


def _broken(outcome: HostOutcome, why: str) -> JudgedHost:
    return JudgedHost(replace(outcome, state=State.BROKEN, detail=f"its snapshot was not judged: {why}", snapshot=None))


def words(say: Callable[[], dict[str, Any]]) -> bytes:
    """Returns what is said of a snapshot as JSON; a `broken` alone, with the reason, where nothing can be said."""
    try:
        said = say()
    except (BadSnapshot, FileProblem) as error:
        said = {"broken": str(error)}
    except Exception as error:
        said = {"broken": limit_reached(error) or f"a bug in gpuctl: {type(error).__name__}: {error}"}
    return json.dumps(said).encode()


def heard(answer: bytes | Exceeded) -> dict[str, Any]:
    """Returns what `words` were said in another process, or that it was given up."""
    if isinstance(answer, Exceeded):
        return {"broken": str(answer)}
    said: dict[str, Any] = json.loads(answer)
    return said


def judged(raw: bytes, run: Run) -> dict[str, Any]:
    """Returns what is said of a snapshot of a run, in values that JSON has: the doctor's words, or those of `smoke`.

    Raises BadSnapshot.
    """
    snapshot = decode(raw)
    facts = gather(snapshot.host, _subjects())
    report = diagnose(facts)
    if run.is_smoke:
        from gpuctl.fleet.smoke import smoke_report  # what explains errors is loaded for these runs alone

        report = smoke_report(snapshot.host, run, report)
    key = key_facts(facts)
    if max(len(key.gpus), len(key.boards)) > _MOST_GPUS:
        raise BadSnapshot(f"it tells of more than {_MOST_GPUS} GPUs")
    if snapshot.anonymised:  # what tells it from others was replaced, in every snapshot by the same
        key = replace(key, machine=None, gpus=tuple(replace(gpu, uuid=None) for gpu in key.gpus))
    return {
        "at": snapshot.at,
        "hostname": "" if snapshot.anonymised else plain(snapshot.host.read(HOST_NAMES[0]).text.strip()[:253]),
        "key": (
            key.machine,
            key.values,
            [(gpu.index, gpu.uuid, gpu.product, gpu.values) for gpu in key.gpus],
            key.boards,
            key.changes,
            key.boot,
        ),
        "findings": sorted(_said(one) for one in _loud(report)),
        "action": report.action.value,
    }


@cache
def _subjects() -> tuple[type, ...]:
    return tuple(dict.fromkeys((*subjects(chosen()), PackageHistory, Identity)))


def _loud(report: Report) -> Iterator[Finding]:
    return (one for one in report.findings if one.status in LOUD)


def _said(finding: Finding) -> list[Any]:
    remedy = finding.remedy
    return [
        finding.id,
        finding.status.value,
        with_end(finding.message, LONGEST_TEXT, LONGEST_TEXT // 2),
        with_end(remedy.text, LONGEST_TEXT, LONGEST_TEXT // 2) if remedy else "",
        [str(command)[:LONGEST_TEXT] for command in remedy.commands[:_MOST_COMMANDS]] if remedy else [],
        remedy.disturbs.value if remedy else "",
        f"{finding.waived.reason[:LONGEST_TEXT]} (until {finding.waived.expires})" if finding.waived else "",
    ]


def _read(outcome: HostOutcome, said: dict[str, Any]) -> JudgedHost:
    if "broken" in said:
        return _broken(outcome, said["broken"])
    machine, values, gpus, boards, changes, boot = said["key"]
    key = KeyFacts(
        machine,
        tuple(values),
        tuple(GpuFacts(index, uuid, product, tuple(known)) for index, uuid, product, known in gpus),
        tuple((device, product) for device, product in boards),
        tuple(changes),
        boot,
    )
    findings = tuple(
        SaidFinding(id, Status(status), message, remedy, tuple(commands), disturbs, waived)
        for id, status, message, remedy, commands, disturbs, waived in said["findings"]
    )
    return JudgedHost(outcome, said["at"], said["hostname"], key, findings, Action(said["action"]))
