"""The formats in which a fleet's report can be had; each is loaded when it is asked for."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Literal, NoReturn

from gpuctl.render.draw.text import Styled

if TYPE_CHECKING:  # the command's help needs the names alone
    from gpuctl.fleet.report import FleetReport


class FleetFormat(str, Enum):
    """What a report is printed as, or written to a file."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    MARKDOWN = "markdown"
    PROMETHEUS = "prometheus"
    JUNIT = "junit"
    HTML = "html"


OfHosts = Literal[FleetFormat.JSONL, FleetFormat.CSV, FleetFormat.JUNIT]
"""The formats that tell of each host by itself."""
OfClasses = Literal[FleetFormat.MARKDOWN, FleetFormat.PROMETHEUS, FleetFormat.HTML]


def fleet_in(format: FleetFormat, report: FleetReport, verbose: bool) -> Styled:
    """Returns a fleet's report in a format, with a newline at its end."""
    if format is FleetFormat.TEXT:
        from gpuctl.render.views.fleet import fleet_text

        return fleet_text(report, verbose)
    if format is FleetFormat.JSON:
        from gpuctl.render.formats.fleet.json import fleet_json

        return Styled(fleet_json(report) + "\n")
    if format is FleetFormat.JSONL or format is FleetFormat.CSV or format is FleetFormat.JUNIT:
        return Styled(_of_hosts(format, report))
    return Styled(_of_classes(format, report))


def _of_hosts(format: OfHosts, report: FleetReport) -> str:
    if format is FleetFormat.JSONL:
        from gpuctl.render.formats.fleet.json import host_lines

        return host_lines(report)
    if format is FleetFormat.CSV:
        from gpuctl.render.formats.fleet.csv import fleet_csv

        return fleet_csv(report)
    if format is FleetFormat.JUNIT:
        from gpuctl.render.formats.fleet.junit import fleet_junit

        return fleet_junit(report)
    return _never(format)


def _of_classes(format: OfClasses, report: FleetReport) -> str:
    if format is FleetFormat.HTML:
        from gpuctl.render.formats.fleet.html import fleet_html

        return fleet_html(report)
    if format is FleetFormat.MARKDOWN:
        from gpuctl.render.formats.fleet.markdown import fleet_markdown

        return fleet_markdown(report)
    if format is FleetFormat.PROMETHEUS:
        from gpuctl.render.formats.fleet.prometheus import fleet_prometheus

        return fleet_prometheus(report)
    return _never(format)


def _never(format: NoReturn) -> NoReturn:
    """A new format is not printed as another one: mypy says where its case is missing, and so does this."""
    raise AssertionError(f"there is nothing that prints {format}")
