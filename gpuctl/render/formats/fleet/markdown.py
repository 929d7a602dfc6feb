"""A fleet's report for a ticket, as GitHub and GitLab read it: findings, classes, outliers."""

from __future__ import annotations

from collections.abc import Iterable

from gpuctl.fleet.report import FleetFinding, FleetReport
from gpuctl.render.formats.markdown import code_span, command_block, table_cell
from gpuctl.render.views.fleet import (
    by_value,
    class_words,
    closing,
    headline,
    names,
    odd_words,
    since_words,
    spread_words,
    twin_words,
    with_gpus,
)

_NAMED = 20
"""As many hosts are named in a cell."""


def fleet_markdown(report: FleetReport) -> str:
    """Returns the report; of many hosts the first are named, and the others counted."""
    found = report.findings
    told = [(one.finding.status.value, one.finding.id, one.finding.message, str(len(one.hosts))) for one in found]
    classes = [(str(len(one.hosts)), class_words(one.kind), names(one.hosts, False)) for one in report.classes]
    differing = [
        (spread_words(one), value, names([*map(with_gpus, members)], False), since_words(members))
        for one in report.outliers
        for value, members in by_value(one)
    ]
    silent = [(one.state.value, host, detail) for one in report.silences for host, detail in one.hosts[:_NAMED]]
    parts = (
        f"## gpuctl fleet: {code_span(headline(report))}",
        code_span(closing(report)),
        _table("Findings", ("status", "check", "finding", "hosts"), told),
        _table("Classes", ("hosts", "alike in", "names"), classes),
        _table("Not like the others", ("most hosts", "value", "hosts", "since"), differing),
        _table("GPUs not like the others of their host", ("GPU",), [(odd_words(one).strip(),) for one in report.odd]),
        _table("Not one host each", ("hosts", "what to do"), [twin_words(one, False) for one in report.twins]),
        _table("Without a report", ("state", "host", "why"), silent),
        *(_remedy(one) for one in found if one.finding.remedy and not one.finding.waived),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(title: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(table_cell(cell) if cell else '' for cell in row)} |" for row in rows]
    ruler = "| " + " | ".join(["---"] * len(heads)) + " |"
    return "\n".join((f"### {title}", "", f"| {' | '.join(heads)} |", ruler, *lines)) if lines else ""


def _remedy(one: FleetFinding) -> str:
    said = one.finding
    disturbs = "" if said.disturbs == "nothing" else f" (disturbs {said.disturbs})"
    parts = (f"### {code_span(said.id)}", code_span(said.remedy) + disturbs, command_block(said.commands))
    return "\n\n".join(part for part in parts if part)
