"""A fleet's report as one page of HTML: no scripts, nothing from elsewhere, and lists of hosts that open when asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from gpuctl import __version__
from gpuctl.fleet.outliers import Spread
from gpuctl.fleet.report import FleetFinding, FleetReport, HostClass
from gpuctl.render.draw.text import plain
from gpuctl.render.views.fleet import (
    NAMED,
    class_words,
    closing,
    headline,
    odd_words,
    spread_words,
    stands,
    twin_words,
    with_gpus,
)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Nothing is fetched and nothing runs, whatever a browser makes of the page."""
_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.3rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #8884 }
pre { margin: .3rem 0; padding: .4rem .6rem; background: #8882; overflow-x: auto }
summary { cursor: pointer } .names { columns: 14rem; font-size: .9em; overflow-wrap: anywhere }
.fail, .failing { color: #c22 } .warn, .warned { color: #b70 }
.unknown, .undetermined { color: #95c } .good { color: #283 }
.mark { font-weight: bold; white-space: nowrap } small, code { color: GrayText }
"""


def fleet_html(report: FleetReport) -> str:
    """Returns the page."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: FleetReport) -> Iterator[str]:
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>{_said(headline(report))}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{_said(headline(report))}</h1><p>{_said(closing(report))}</p>"
    yield from _table("Findings", ("", "finding", "hosts", "classes"), map(_finding, report.findings))
    rows = (_class(place, one) for place, one in enumerate(report.classes, 1))
    yield from _table("Classes", ("", "hosts", "", "alike in"), rows)
    shown = [one for one in report.spreads if one.differing or (one.majority is None and len(one.values) > 1)]
    yield from _table("Not like the others", ("most hosts", "those that differ"), map(_spread, shown))
    yield from _list("GPUs not like the others of their host", (odd_words(one) for one in report.odd))
    yield from _list("Not one host each", (" ".join(twin_words(one, True)) for one in report.twins))
    silent = (
        f'<td class="mark unknown">{one.state.value}</td><td>'
        + _opened((f"{host}: {detail}" for host, detail in one.hosts), len(one.hosts))
        + "</td>"
        for one in report.silences
    )
    yield from _table("Without a report", ("state", "hosts"), silent)
    yield f"<p><small>gpuctl {escape(__version__)}</small></p></body></html>"


def _said(words: str) -> str:
    return escape(plain(words))


def _table(title: str, heads: tuple[str, ...], rows: Iterable[str]) -> Iterator[str]:
    lines = [f"<tr>{row}</tr>" for row in rows]
    if lines:
        yield f"<h2>{title}</h2><table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"
        yield from lines
        yield "</table>"


def _list(title: str, rows: Iterable[str]) -> Iterator[str]:
    lines = [f"<li>{_said(row.strip())}</li>" for row in rows]
    if lines:
        yield f"<h2>{title}</h2><ul>{''.join(lines)}</ul>"


def _opened(rows: Iterable[str], count: int) -> str:
    """Hosts behind their number; few are shown at once."""
    names = "".join(f"<div>{_said(row)}</div>" for row in rows)
    number = f"{count} {'host' if count == 1 else 'hosts'}"
    opened = " open" if count <= NAMED else ""
    return f'<details{opened}><summary>{number}</summary><div class="names">{names}</div></details>'


def _finding(one: FleetFinding) -> str:
    said = one.finding
    disturbs = f" (disturbs {said.disturbs})" if said.disturbs not in ("", "nothing") else ""
    remedy = f"<div>{_said(said.remedy)}{escape(disturbs)}</div>" if said.remedy else ""
    commands = "".join(f"<pre>{_said(command)}</pre>" for command in said.commands)
    waived = f"<div>waived: {_said(said.waived)}</div>" if said.waived else ""
    mark = "waived" if said.waived else said.status.value
    classes = ", ".join(f'<a href="#class-{place}">{place}</a>' for place in one.classes)
    return (
        f'<td class="mark {mark}">{mark}</td>'
        f"<td>{_said(said.message)} <code>{_said(said.id)}</code>{waived}{remedy}{commands}</td>"
        f"<td>{len(one.hosts)}</td><td>{classes}</td>"
    )


def _class(place: int, one: HostClass) -> str:
    standing = stands(one.kind)
    ids = ", ".join(f"{status.value} {id}" for id, status, waived in one.kind.findings if not waived)
    return (
        f'<td id="class-{place}">{place}</td><td>{_opened(one.hosts, len(one.hosts))}</td>'
        f'<td class="mark {standing}">{standing}</td>'
        f"<td>{_said(class_words(one.kind))}<div><code>{_said(ids)}</code></div></td>"
    )


def _spread(one: Spread) -> str:
    rows = (f"{with_gpus(each)}: {each.value}{f', since {each.since}' if each.since else ''}" for each in one.differing)
    return f"<td>{_said(spread_words(one))}</td><td>{_opened(rows, len(one.differing)) if one.differing else ''}</td>"
