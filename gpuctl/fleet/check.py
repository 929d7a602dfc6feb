"""Whether something runs on the hosts of a run: asked of each snapshot, and told in classes of hosts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gpuctl.checks.questions.host_answer import GATE_SUBJECTS, SUBJECTS, host_answer
from gpuctl.compat.ask.question import Machine, Question
from gpuctl.facts.gather import gather
from gpuctl.fleet.judge import words
from gpuctl.fleet.run_folder import RecordedRun, State
from gpuctl.frozen import dataclass
from gpuctl.host.act.confined import Exceeded, each_confined
from gpuctl.host.record.archive import decode
from gpuctl.model import Verdict


@dataclass(frozen=True)
class HostsAnswer:
    """Hosts with the same GPUs and driver of which the same is said; `unknown` is why nothing can be said.

    `gpus`: each name with how many there are. `reasons`: id and sentence. `remedies`: a sentence and commands.
    """

    hosts: tuple[str, ...]
    verdict: Verdict
    driver: str | None
    gpus: tuple[tuple[str, int], ...]
    reasons: tuple[tuple[str, str], ...]
    remedies: tuple[tuple[str, tuple[str, ...]], ...]
    unknown: str


@dataclass(frozen=True)
class FleetAnswer:
    """The answer for a run, the worst class first."""

    run: RecordedRun
    classes: tuple[HostsAnswer, ...]

    @property
    def verdict(self) -> Verdict:
        """That of the worst host; unknown where none has reported."""
        return self.classes[0].verdict if self.classes else Verdict.UNKNOWN


def fleet_answer(run: RecordedRun, question: Question, gated: bool) -> FleetAnswer:
    """Returns whether what is asked runs on the hosts of a run. `gated`: an image, or a requirement, is asked about.

    Call it where no other thread runs.
    """
    alike: dict[bytes, list[str]] = {}
    reported = [one for one in run.outcomes.values() if one.state is State.REPORTED]
    subjects = GATE_SUBJECTS if gated or question.at_the_gate else SUBJECTS
    for one, said in each_confined(reported, lambda one: words(lambda: _said(run.snapshot(one), question, subjects))):
        told = json.dumps({"broken": str(said)}).encode() if isinstance(said, Exceeded) else said
        alike.setdefault(told, []).append(one.host)
    order = (Verdict.INCOMPATIBLE, Verdict.NEEDS_PACKAGE, Verdict.UNKNOWN, Verdict.LIMITED, Verdict.COMPATIBLE)
    found = [_class(json.loads(told), tuple(hosts)) for told, hosts in alike.items()]
    return FleetAnswer(run, tuple(sorted(found, key=lambda one: (order.index(one.verdict), -len(one.hosts)))))


def _said(raw: bytes, question: Question, subjects: Sequence[type]) -> dict[str, Any]:
    """What is said of one host, in values that JSON has. Raises BadSnapshot."""
    answer = host_answer(question, gather(decode(raw).host, subjects), Machine())
    remedies = [one for one in answer.remedies if one.commands or answer.driver]  # the hint to ask of another host
    reasons = [*answer.reasons, *(reason for gpu in answer.gpus for reason in gpu.reasons)]
    return {
        "verdict": answer.verdict.value,
        "driver": answer.driver,
        "gpus": sorted(Counter(gpu.name for gpu in answer.gpus).items()),
        "reasons": list(dict.fromkeys((one.id, one.message) for one in reasons)),
        "remedies": [(one.text, [str(command) for command in one.commands]) for one in remedies],
    }


def _class(said: dict[str, Any], hosts: tuple[str, ...]) -> HostsAnswer:
    if "broken" in said:
        return HostsAnswer(hosts, Verdict.UNKNOWN, None, (), (), (), f"the snapshot was not judged: {said['broken']}")
    return HostsAnswer(
        hosts,
        Verdict(said["verdict"]),
        said["driver"],
        tuple((name, count) for name, count in said["gpus"]),
        tuple((id, message) for id, message in said["reasons"]),
        tuple((text, tuple(commands)) for text, commands in said["remedies"]),
        "",
    )
