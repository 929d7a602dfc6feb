"""The formats in which a result can be had; each is loaded when it is asked for."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Literal, NoReturn

from gpuctl.render.draw.text import Styled

if TYPE_CHECKING:
    from gpuctl.compat.answer.answer import Compatibility
    from gpuctl.facts.gather import Facts
    from gpuctl.model import Report


class Format(str, Enum):
    """What a result is printed as, or written to a file."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    PROMETHEUS = "prometheus"
    NAGIOS = "nagios"
    MARKDOWN = "markdown"


OfFindings = Literal[Format.JUNIT, Format.MARKDOWN, Format.NAGIOS]
"""The formats that know nothing but findings."""


def report_in(format: Format, report: Report, facts: Facts, verbose: bool, strict: bool, origin: str = "") -> Styled:
    """Returns a doctor's report in a format, with a newline at its end. `origin`: the host and day of a snapshot."""
    if format is Format.TEXT:
        from gpuctl.render.views.doctor import report_text

        return report_text(report, facts, verbose, origin)
    if format is Format.JSON:
        from gpuctl.render.formats.json import doctor_json

        return Styled(doctor_json(report, facts) + "\n")
    if format is Format.PROMETHEUS:
        from gpuctl.render.formats.prometheus import report_prometheus

        return Styled(report_prometheus(report))
    from gpuctl.render.views.host import host_summary

    return _common(format, report, "doctor", host_summary(facts), strict)


def answer_in(format: Format, answer: Compatibility, strict: bool) -> Styled:
    """Returns a compatibility answer in a format, with a newline at its end."""
    if format is Format.TEXT:
        from gpuctl.render.views.check import answer_text

        return answer_text(answer)
    if format is Format.JSON:
        from gpuctl.render.formats.json import check_json

        return Styled(check_json(answer) + "\n")
    if format is Format.PROMETHEUS:
        from gpuctl.render.formats.prometheus import answer_prometheus

        return Styled(answer_prometheus(answer))
    from gpuctl.render.views.answer_report import answer_report
    from gpuctl.render.views.check import question_text

    return _common(format, answer_report(answer), "check", question_text(answer), strict)


def _common(format: OfFindings, report: Report, command: str, about: str, strict: bool) -> Styled:
    if format is Format.JUNIT:
        from gpuctl.render.formats.junit import report_junit

        return Styled(report_junit(report, command))
    if format is Format.MARKDOWN:
        from gpuctl.render.formats.markdown import report_markdown

        return Styled(report_markdown(report, command, about))
    if format is Format.NAGIOS:
        from gpuctl.render.formats.nagios import report_nagios

        return Styled(report_nagios(report, command, strict))
    return _never(format)


def _never(format: NoReturn) -> NoReturn:
    """A new format is not printed as another one: mypy says where its case is missing, and so does this."""
    raise AssertionError(f"there is nothing that prints {format}")
