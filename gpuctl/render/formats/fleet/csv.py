"""A fleet's hosts as CSV (RFC 4180), a row for each."""

from __future__ import annotations

import csv
import io

from gpuctl.fleet.key_facts import HOST_FACTS
from gpuctl.fleet.report import FleetReport, HostRecord, Kind
from gpuctl.render.draw.text import plain
from gpuctl.render.views.fleet import stands

COLUMNS = ("host", "state", "detail", "class", "standing", "action", "findings", "products")
_FORMULAS = ("=", "+", "-", "@")
"""By what a cell begins that spreadsheets carry out: https://owasp.org/www-community/attacks/CSV_Injection."""


def fleet_csv(report: FleetReport) -> str:
    """Returns a header and a row for each host; what there is none of is empty, findings share a field."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow((*COLUMNS, *(fact.name for fact in HOST_FACTS)))
    numbers = {one.kind: number for number, one in enumerate(report.classes, 1)}
    writer.writerows([_field(value) for value in _row(one, numbers)] for one in report.hosts)
    return out.getvalue()


def _row(one: HostRecord, numbers: dict[Kind, int]) -> tuple[str | None, ...]:
    head = (one.outcome.host, one.outcome.state.value, one.outcome.detail)
    if one.kind is None or one.key is None:
        return (*head, *([None] * (len(COLUMNS) - len(head) + len(HOST_FACTS))))
    kind = one.kind
    findings = " ".join(f"{status.value}:{id}" for id, status, waived in kind.findings if not waived)
    told = (str(numbers[kind]), stands(kind), kind.action.value, findings, " + ".join(kind.products))
    return (*head, *told, *one.key.values)


def _field(value: str | None) -> str:
    text = plain(value or "")
    return f"'{text}" if text.startswith(_FORMULAS) else text
