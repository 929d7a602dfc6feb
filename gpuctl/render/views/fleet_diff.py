"""What differs between two runs of a fleet: as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from gpuctl.fleet.difference import FactChange, FindingChange, FleetDifference
from gpuctl.fleet.run_folder import RecordedRun
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.fleet.json import said_json
from gpuctl.render.formats.json import document
from gpuctl.render.views.finding import MARKS
from gpuctl.render.views.fleet import names

_UNTOLD = "not told"


def fleet_diff_text(found: FleetDifference, old: RecordedRun, new: RecordedRun, verbose: bool) -> Styled:
    """Returns the difference on a screen: hosts, findings, facts; `verbose` names all hosts."""
    text = Styled(f"{_at(old)} → {_at(new)}: {found.compared} hosts have reported in both\n\n", "bold")
    for word, hosts in (("came", found.came), ("went", found.went)):
        if hosts:
            text.append(f"{word:<9}", "dim").append(_on(hosts, verbose))
    for state in found.states:
        text.append(f"{'state':<9}", "dim").append(f"{state.old} → {state.new} ").append(_on(state.hosts, verbose))
    for finding in found.findings:
        text.append(_finding(finding, verbose))
    for fact in found.facts:
        text.append(_fact(fact, verbose))
    if found.moved:
        text.append(f"{'class':<9}", "dim").append("another one ").append(_on(found.moved, verbose))
    return text.append("Nothing differs.\n") if found.equal else text


def fleet_diff_json(found: FleetDifference, old: RecordedRun, new: RecordedRun) -> str:
    """Returns the difference as JSON; null for what a host does not tell."""
    body = {
        "equal": found.equal,
        "old": {"folder": old.folder, "at": old.run.at},
        "new": {"folder": new.folder, "at": new.run.at},
        "compared": found.compared,
        "came": found.came,
        "went": found.went,
        "states": [{"old": one.old, "new": one.new, "hosts": one.hosts} for one in found.states],
        "moved": found.moved,
        "findings": [{**said_json(one.finding), "change": _word(one), "hosts": one.hosts} for one in found.findings],
        "facts": [{"fact": one.fact.name, "old": one.old, "new": one.new, "hosts": one.hosts} for one in found.facts],
    }
    return document("fleet-diff", body)


def _word(one: FindingChange) -> str:
    return "appeared" if one.is_new else "went"


def _finding(one: FindingChange, verbose: bool) -> Styled:
    mark, style = MARKS[one.finding.status]
    text = Styled(f"{_word(one):<9}", "dim").append(f"{mark}  ", style)
    text.append(plain(one.finding.message), "bold").append(f"  {plain(one.finding.id)}\n         ", "dim")
    return text.append(_on(one.hosts, verbose))


def _fact(one: FactChange, verbose: bool) -> Styled:
    values = f"{plain(one.old or _UNTOLD)} → {plain(one.new or _UNTOLD)}"
    return Styled(f"{'fact':<9}", "dim").append(f"{one.fact.title}: {values} ").append(_on(one.hosts, verbose))


def _on(hosts: Sequence[str], verbose: bool) -> Styled:
    count = f"on {len(hosts)} {'host' if len(hosts) == 1 else 'hosts'}: "
    return Styled(count).append(f"{names(hosts, verbose)}\n", "dim")


def _at(run: RecordedRun) -> str:
    return f"{datetime.fromtimestamp(run.run.at, timezone.utc):%Y-%m-%d %H:%M} UTC"
