"""What is asked of a doctor: which findings, how they are told, and what the run ends with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gpuctl.cli.frame.endings import exit_code
from gpuctl.cli.frame.formats import Outputs
from gpuctl.cli.frame.snapshots import host_at
from gpuctl.frozen import dataclass
from gpuctl.model import Report
from gpuctl.render.draw.text import Styled
from gpuctl.render.formats.formats import Format, report_in

if TYPE_CHECKING:
    from gpuctl.facts.gather import Facts


@dataclass(frozen=True)
class DoctorRequest:
    """What is to be judged, and how it is told."""

    only: tuple[str, ...]
    skip: tuple[str, ...]
    outputs: Outputs[Format]
    verbose: bool
    quiet: bool
    strict: bool

    @property
    def part(self) -> bool:
        """Whether not all is asked for."""
        return bool(self.only or self.skip)

    @property
    def subjects(self) -> tuple[type, ...]:
        """What has to be looked at."""
        from gpuctl.checks.needed import subjects
        from gpuctl.checks.select import chosen

        return tuple(dict.fromkeys((*subjects(chosen(self.only, self.skip)), *self._of_the_host)))

    @property
    def _of_the_host(self) -> tuple[type, ...]:
        """What places a report, beside its findings."""
        if self.outputs.formats == {Format.TEXT}:
            from gpuctl.render.views.host import SUMMARY

            return SUMMARY
        from gpuctl.render.views.host_json import SUBJECTS

        return SUBJECTS

    def look(self, snapshot: str | None) -> tuple[Facts, Report]:
        """Returns the facts that the findings rest on, of a snapshot's host or of this one, and the findings."""
        looked_at = host_at(snapshot)  # of a snapshot first, while little is loaded: the process divides for it
        from gpuctl.checks.needed import in_doubt
        from gpuctl.facts.gather import gather
        from gpuctl.host.look.deadline import keep_to_one_thread
        from gpuctl.host.record.memory import RememberingHost
        from gpuctl.render.draw.progress import working

        if snapshot is not None:
            keep_to_one_thread()
        host = RememberingHost(looked_at)
        with working("Looking at this host"):
            facts = gather(host, self.subjects)
            report = self.judge(facts)
            further = in_doubt(report) if self.part else ()
            if not further:
                return facts, report
            facts |= gather(host, [one for one in further if one not in facts.found])
            return facts, self.judge(facts)

    def judge(self, facts: Facts) -> Report:
        """Returns the findings that are asked for."""
        from gpuctl.checks.engine import diagnose
        from gpuctl.checks.select import chosen, part

        wanted = chosen(self.only, self.skip)
        return part(diagnose(facts), wanted)

    def render(self, report: Report, facts: Facts, origin: str = "") -> Callable[[Format], Styled]:
        """Returns what gives the report in a format. `origin`: the host and day of a snapshot."""
        from gpuctl.render.views.doctor import wrong_text

        return lambda format: (
            wrong_text(report)
            if self.quiet and format is Format.TEXT
            else report_in(format, report, facts, self.verbose, self.strict, origin)
        )

    def code(self, report: Report) -> int:
        """Returns the exit code, which is Nagios' where its format is printed."""
        if self.outputs.shown is not Format.NAGIOS:
            return exit_code(report, self.strict)
        from gpuctl.render.formats.nagios import nagios_state

        return nagios_state(report, self.strict)
