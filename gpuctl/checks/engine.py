"""The frame around all checks: what a check is, in which order they are asked, and how symptoms fold under causes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import cached_property
from typing import Any, TypeVar, get_type_hints

from gpuctl.checks.compare.dates import dated
from gpuctl.checks.mendable import led_by_gpuctl
from gpuctl.checks.order import behind_dpkg
from gpuctl.checks.public import public
from gpuctl.checks.waiving import waive
from gpuctl.facts.gather import Facts
from gpuctl.facts.machine.system import System
from gpuctl.frozen import dataclass
from gpuctl.model import Action, CannotTell, Evidence, Fact, Finding, Remedy, Report, Status, usual_action

T = TypeVar("T")
LAYERS: Mapping[str, tuple[str, ...]] = {
    "hardware": (),
    "kernel": ("hardware",),
    "driver": ("kernel",),
    "docker": (),
    "packages": (),
    "toolkit": ("hardware",),
    "cdi": ("driver",),
    "registration": ("docker", "toolkit"),
    "image": ("driver", "registration"),
    "kubelet": ("driver",),
    "changes": (),
    "waivers": (),
    "outlook": (),
}
"""Each layer with the layers it rests on: where one of those failed, asking further would only show symptoms.

Only what explains that failure is asked all the same.
"""
EXPLAINED_BY: Mapping[str, tuple[str, ...]] = {
    "kernel": ("driver",),
    "packages": ("kernel",),
    "docker": ("hardware",),
    "toolkit": ("kernel",),
    "registration": ("kernel", "cdi"),
    "kubelet": ("registration",),
    "outlook": ("docker",),
}
"""The layers whose checks explain some of a layer's, beside itself and those it rests on."""


@dataclass(frozen=True)
class Judgement:
    """What a check says; the engine adds its id and layer. `action` None: what `usual_action` makes of the rest."""

    status: Status
    message: str
    evidence: tuple[Evidence, ...] = ()
    remedy: Remedy | None = None
    action: Action | None = None


@dataclass(frozen=True)
class Check:
    """A function from facts and knowledge to at most one finding. Its docstring is its documentation.

    `takes` are the types of its parameters, and `needs` the facts of which these are made. `follows` is whose packages'
    last change tells since when a complaint of this check is so.
    """

    id: str
    explains: tuple[str, ...]
    takes: tuple[type, ...]
    judge: Callable[..., Judgement | None]
    follows: str | None = None

    @property
    def layer(self) -> str:
        return self.id.partition(".")[0]

    @cached_property
    def needs(self) -> tuple[type, ...]:
        return tuple(dict.fromkeys(fact for subject in self.takes for fact in _facts_of(subject)))


CHECKS: dict[str, Check] = {}
_RANKS = {status: rank for rank, status in enumerate(Status)}
"""The worst first."""
_TOGETHER: dict[type, tuple[type, ...]] = {}


def together(subject: type[T]) -> type[T]:
    """Has checks take facts that tell something only together as one: a dataclass with a field for each of them."""
    _TOGETHER[subject] = tuple(get_type_hints(subject).values())
    return subject


def _facts_of(subject: type) -> Iterator[type]:
    if subject not in _TOGETHER:
        yield subject
    for part in _TOGETHER.get(subject, ()):
        yield from _facts_of(part)


def check(
    id: str, explains: tuple[str, ...] = (), follows: str | None = None
) -> Callable[[Callable[..., Judgement | None]], Callable[..., Judgement | None]]:
    """Registers a check. The facts that it is handed are those that its parameters' types name, or take `together`.

    `explains` are the ids of checks whose failure is a symptom of this one's; where this one is unknown, of those
    that are unknown too. `follows` (driver, kernel, engine, toolkit) adds when and by what its packages last changed.
    """

    def register(judge: Callable[..., Judgement | None]) -> Callable[..., Judgement | None]:
        # By name, not by get_type_hints, which takes longer for all checks than to ask them.
        kinds = [kind for name, kind in judge.__annotations__.items() if name != "return"]
        takes = tuple(judge.__globals__[kind] if isinstance(kind, str) else kind for kind in kinds)
        CHECKS[id] = Check(id, explains, takes, judge, follows)
        return judge

    return register


def passed(message: str, *seen: Fact[Any] | Evidence) -> Judgement:
    """Returns a passing answer with the facts it rests on as evidence."""
    return Judgement(Status.PASS, message, _evidence(seen))


def warned(
    message: str, *seen: Fact[Any] | Evidence, remedy: Remedy | None = None, action: Action | None = None
) -> Judgement:
    """Returns a warning: it works, and somebody should know."""
    return Judgement(Status.WARN, message, _evidence(seen), remedy, action)


def failed(
    message: str, *seen: Fact[Any] | Evidence, remedy: Remedy | None = None, action: Action | None = None
) -> Judgement:
    """Returns a failure: GPU containers do not run here until this is mended."""
    return Judgement(Status.FAIL, message, _evidence(seen), remedy, action)


def unread(log: Fact[Any]) -> Judgement:
    """Returns that a log was passed over, and why: it may be closed to this user, and tells nothing then."""
    return Judgement(Status.SKIP, f"the log may not be read here: {log.reason}")


def undetermined(reason: str, *seen: Fact[Any] | Evidence, remedy: Remedy | None = None) -> Judgement:
    """Returns that it could not be determined, and why: for a check that knows more of it than the reason."""
    return Judgement(Status.UNKNOWN, f"could not be determined: {reason}", _evidence(seen), remedy)


def diagnose(facts: Facts) -> Report:
    """Asks every check whose facts were looked at, layer by layer. Returns all findings, worst first.

    Those of one status are in the order of the layers; what the host's configuration waives comes behind what counts.
    """
    asked: dict[str, list[Check]] = {layer: [] for layer in LAYERS}
    for one in CHECKS.values():
        if facts.found.keys() >= set(one.needs):
            asked[one.layer].append(one)
    found: dict[str, Finding] = {}
    folded: dict[str, Finding] = {}
    causes: dict[str, str] = {}
    for layer, bases in LAYERS.items():
        cause = next((causes[base] for base in bases if base in causes), None)
        heard = [one for one in asked[layer] if cause is None or cause in one.explains]
        found.update((one.id, ask(one, facts)) for one in heard)
        found.update((one.id, skipped(one, cause)) for one in asked[layer] if cause and one not in heard)
        folded = {**found, **_folded(found)}
        broken = cause or next((one.id for one in heard if folded[one.id].status is Status.FAIL), None)
        if broken:
            causes[layer] = broken
    system = facts.get(System)
    rooted = [_at_root(one, folded) for one in folded.values()]
    told = (led_by_gpuctl(one, facts) for one in (behind_dpkg(rooted, system) if system else rooted))
    findings = tuple(sorted(map(public, told), key=_severity))
    return waive(Report(findings), facts)


def ask(one: Check, facts: Facts) -> Finding:
    """Returns what one check says: `unknown` with the reason where its facts are unknown or it crashed."""
    said: Judgement | None
    try:
        said = one.judge(*(handed(subject, facts) for subject in one.takes))
    except CannotTell as reason:
        said = undetermined(str(reason))
    except Exception as error:  # one crashed check must not cost the person all the other answers
        said = undetermined(f"this check crashed, which is a bug in gpuctl: {type(error).__name__}: {error}")
    if said is None:
        return Finding(one.id, one.layer, Status.SKIP, "does not apply to this host")
    action = said.action or usual_action(said.status, said.remedy)
    finding = Finding(one.id, one.layer, said.status, said.message, said.evidence, said.remedy, action=action)
    if one.follows and said.status in (Status.FAIL, Status.WARN):
        return dated(finding, one.follows, facts)
    return finding


def handed(subject: type[T], facts: Facts) -> T:
    """Returns what a parameter of this type is handed. Raises CannotTell."""
    if subject in _TOGETHER:
        return subject(*(handed(part, facts) for part in _TOGETHER[subject]))
    try:
        return facts.known(subject)
    except CannotTell as reason:
        raise CannotTell(f"{subject.__name__}: {reason}") from None


def skipped(one: Check, cause: str) -> Finding:
    """Returns the finding of a check that was not asked, or not listened to, because of another's failure."""
    return Finding(one.id, one.layer, Status.SKIP, f"rests on {cause}", rests_on=cause)


_FOLDS = {Status.FAIL: (Status.FAIL, Status.WARN, Status.UNKNOWN), Status.UNKNOWN: (Status.UNKNOWN,)}
"""What folds under a cause of each status: what is unknown explains only that more is unknown."""


def _folded(found: Mapping[str, Finding]) -> dict[str, Finding]:
    """The symptoms among the findings, each as one that rests on the finding at the root."""
    causes: dict[str, str] = {}

    def root(id: str) -> str:
        return root(causes[id]) if id in causes else id

    for symptom, cause in _suspicions(found):
        if symptom not in causes and root(cause) != symptom:
            causes[symptom] = cause
    return {symptom: skipped(CHECKS[symptom], root(symptom)) for symptom in causes}


def _at_root(finding: Finding, found: Mapping[str, Finding]) -> Finding:
    """A later layer's check may explain what an earlier one's others were said to rest on."""
    cause = finding.rests_on and found[finding.rests_on].rests_on
    return _at_root(skipped(CHECKS[finding.id], cause), found) if cause else finding


def _suspicions(found: Mapping[str, Finding]) -> Iterator[tuple[str, str]]:
    """Symptoms with their causes, the surest first: failures, then what is unknown for one reason, then the rest."""
    yield from _explained(found, Status.FAIL)
    first: dict[str, str] = {}
    for finding in found.values():
        if finding.status is Status.UNKNOWN:
            yield finding.id, first.setdefault(finding.message, finding.id)
    yield from _explained(found, Status.UNKNOWN)


def _explained(found: Mapping[str, Finding], status: Status) -> Iterator[tuple[str, str]]:
    for cause in found.values():
        if cause.status is status:
            explained = (found[id] for id in CHECKS[cause.id].explains if id in found)
            yield from ((finding.id, cause.id) for finding in explained if finding.status in _FOLDS[status])


def _severity(finding: Finding) -> int:
    return _RANKS[finding.status]


def _evidence(seen: Iterable[Fact[Any] | Evidence]) -> tuple[Evidence, ...]:
    return tuple(one if isinstance(one, Evidence) else Evidence(one.source, _shown(one)) for one in seen)


def _shown(one: Fact[Any]) -> str:
    if one.unknown is not None:
        return f"unknown: {one.unknown}"
    if isinstance(one.value, frozenset | tuple):
        return ", ".join(sorted(map(str, one.value))) or "none"
    if isinstance(one.value, bool):
        return "yes" if one.value else "no"
    value = one.value.value if isinstance(one.value, Enum) else one.value
    return "absent" if value is None else str(value)
