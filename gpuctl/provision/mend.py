"""Carrying out the doctor's remedies that can be undone, each as a change that is planned and written down.

What a remedy says is for a person to type; what is done here is a plan of its own. A check that is not named here is
mended by nobody but the person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

from gpuctl.checks.engine import handed
from gpuctl.checks.layers.cdi import stale_spec
from gpuctl.checks.layers.toolkit_settings import settings_of, wishes
from gpuctl.checks.mendable import CRIO, OTHER_RUNTIME, RUNTIME, SETTING, SPECIFICATION, TOOLKIT, is_mended
from gpuctl.checks.paths.ways import ToolkitInUse
from gpuctl.engines.merge import Values
from gpuctl.engines.toolkit_toml import NotAccepted, diff, with_settings
from gpuctl.facts.gather import Facts
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.machine.system import System
from gpuctl.facts.own.journal import Changes
from gpuctl.facts.toolkit.toolkit import SETTINGS, Toolkit
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host
from gpuctl.model import Disturbs, ExitCode, Report, Status
from gpuctl.provision.change_set import ChangeSet, Edit
from gpuctl.provision.engines import cdi
from gpuctl.provision.errand import Errand
from gpuctl.provision.install import install_runtime
from gpuctl.provision.packages.packages import PackageWish
from gpuctl.provision.result import Refused, Result, Say, Wish
from gpuctl.provision.run.transaction import conduct

COMMAND = "doctor --fix"
_WORSE = tuple(Disturbs)

FAILED = (ExitCode.ROLLED_BACK, ExitCode.NOT_ROLLED_BACK)

CarryOut = Callable[[Host, bool, Say], Result]
"""Handed the host, whether it is a dry run, and who is told of the steps."""


@dataclass(frozen=True)
class Mend:
    """A change and the checks that complain of what it mends. `disturbs`: at least that, whatever its steps say."""

    checks: tuple[str, ...]
    disturbs: Disturbs
    carry_out: CarryOut


@dataclass(frozen=True)
class Mended:
    """How a mend ended. `carried_out` is False for one that was planned only; `result` is the plan's then.

    `allowed`: whether it may be done, by what it disturbs and by whom was asked.
    """

    checks: tuple[str, ...]
    disturbs: Disturbs
    allowed: bool
    carried_out: bool
    result: Result


@dataclass(frozen=True)
class Examined:
    """One look at the host: the facts, and the findings that were asked for."""

    facts: Facts
    report: Report


@dataclass(frozen=True)
class Mender:
    """How this run goes about it.

    `look` looks at the host anew. `allow` is asked about each plan that disturbs new containers; one that disturbs more
    is never carried out. With `dry_run` all are planned only.
    """

    host: Host
    look: Callable[[], Examined]
    allow: Callable[[Mended], bool]
    dry_run: bool
    taking_steps: Callable[[], AbstractContextManager[Say]]

    def fix(self) -> tuple[tuple[Mended, ...], Examined]:
        """Returns what was done, in its order, up to the first change that failed, and the last look.

        What is mended may bring to light what rested on it, so the host is looked at until no change is left to try.
        """
        ended: list[Mended] = []
        seen = self.look()
        while todo := self._untried(seen, ended):
            done = self._each(todo)
            ended += done
            if not any(one.carried_out for one in done):
                break
            seen = self.look()
            if done[-1].result.code in FAILED:
                break
        return tuple(ended), seen

    def _untried(self, seen: Examined, ended: list[Mended]) -> tuple[Mend, ...]:
        tried = {id for one in ended for id in one.checks}
        return tuple(mend for mend in mends(seen.facts, seen.report) if not set(mend.checks) <= tried)

    def _each(self, todo: tuple[Mend, ...]) -> list[Mended]:
        ended: list[Mended] = []
        for mend in todo:
            ended.append(self._one(mend))
            if ended[-1].result.code in FAILED:
                break
        return ended

    def _one(self, mend: Mend) -> Mended:
        with self.taking_steps():
            planned = _planned(self.host, mend)
        if planned.result.error is not None or not _is_allowed(planned, self.allow):
            return planned
        if self.dry_run:
            return replace(planned, allowed=True)
        with self.taking_steps() as say:
            return Mended(mend.checks, planned.disturbs, True, True, mend.carry_out(self.host, False, say))


def _planned(host: Host, mend: Mend) -> Mended:
    result = mend.carry_out(host, True, lambda step, done: None)
    steps = [step.disturbs for step in result.plan.steps]
    return Mended(mend.checks, max((mend.disturbs, *steps), key=_WORSE.index), False, False, result)


def _is_allowed(planned: Mended, allow: Callable[[Mended], bool]) -> bool:
    if planned.disturbs is Disturbs.NEW_CONTAINERS:
        return allow(planned)
    return planned.disturbs is Disturbs.NOTHING


def mends(facts: Facts, report: Report) -> Iterator[Mend]:
    """Yields what can be done about the failures and warnings of a report, what others rest on first."""
    loud = [one.id for one in report.findings if one.status in (Status.FAIL, Status.WARN) and is_mended(one)]
    kinds: tuple[tuple[tuple[str, ...], Disturbs, CarryOut], ...] = (
        (TOOLKIT, Disturbs.NEW_CONTAINERS, _install),
        (SETTING, Disturbs.NEW_CONTAINERS, _settings(facts, loud)),
        (SPECIFICATION, Disturbs.NOTHING, _specification(facts)),
        (RUNTIME, Disturbs.NOTHING, _runtime("docker")),
        (OTHER_RUNTIME, Disturbs.NEW_CONTAINERS, _runtime("docker", force=True)),
        (CRIO, Disturbs.NOTHING, _runtime("crio")),
    )
    for ids, disturbs, change in kinds:
        checks = tuple(id for id in ids if id in loud)
        if checks:
            yield Mend(checks, disturbs, change)


def _install(host: Host, dry_run: bool, say: Say) -> Result:
    return install_runtime(host, Wish(dry_run=dry_run), PackageWish(), say)


def _runtime(engine: str, force: bool = False) -> CarryOut:
    def register(host: Host, dry_run: bool, say: Say) -> Result:
        return install_runtime(host, Wish(engine=engine, force=force, dry_run=dry_run), None, say)

    return register


def _settings(facts: Facts, loud: list[str]) -> CarryOut:
    def plan(journal: Changes) -> ChangeSet:
        changes = _changes(facts, loud)
        return ChangeSet("toolkit", "The toolkit", (Edit(SETTINGS, _edit(changes), diff),), None)

    return lambda host, dry_run, say: conduct(Errand(host, COMMAND, Wish(dry_run=dry_run), plan, say))


def _changes(facts: Facts, loud: list[str]) -> Values:
    here = handed(ToolkitInUse, facts)
    names = (name for id in SETTING if id in loud for name in settings_of(id, here))
    wanted = wishes(names, facts.known(System), here)
    return tuple((tuple(name.split(".")), value) for name, value in wanted.items())


def _edit(changes: Values) -> Callable[[bytes | None], bytes | None]:
    def edit(raw: bytes | None) -> bytes:
        try:
            return with_settings(raw, changes)
        except NotAccepted as error:
            raise Refused(f"{error.at(SETTINGS)}.") from None

    return edit


def _specification(facts: Facts) -> CarryOut:
    """The one that is out of date, else the one that is missing."""

    def bring_up_to_date(host: Host, dry_run: bool, say: Say) -> Result:
        def plan(journal: Changes) -> ChangeSet:
            text = cdi.generated(host, facts.known(System), path)
            return ChangeSet("cdi", "CDI", (cdi.edit(path, text, force=False),), None)

        found = facts.known(Toolkit).cdi.value
        old = stale_spec(found.in_effect(), facts.known(Driver)) if found else None
        path = old[0].path if old else cdi.SPEC
        return conduct(Errand(host, COMMAND, Wish(dry_run=dry_run), plan, say))

    return bring_up_to_date
