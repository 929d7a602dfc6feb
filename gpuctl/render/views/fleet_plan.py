"""What would be changed on a fleet: equal plans once, with the hosts that have them."""

from __future__ import annotations

from collections.abc import Sequence

from gpuctl.command import command
from gpuctl.fleet.plan import CANNOT, FleetPlan, Group, Unplanned, as_document
from gpuctl.fleet.run_folder import WITHOUT_GPUCTL
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import document
from gpuctl.render.views.changes import diff_text, step_lines
from gpuctl.render.views.fleet_collect import named


def plan_json(plan: FleetPlan) -> str:
    """Returns the plan as its file holds it."""
    return document("fleet-plan", as_document(plan))


def plan_text(plan: FleetPlan, verbose: bool) -> Styled:
    """Returns what would be changed on which hosts, the largest group first; `verbose` names every host."""
    changing = sum(len(group.hosts) for group in plan.groups)
    text = Styled(f"{_count(len(plan.groups), 'plan')} for {_count(changing, 'host')}", "bold")
    text.append(f": {command('gpuctl', *plan.words)}\n")
    for group in plan.groups:
        text.append(_group_text(group, verbose))
    text.append("\n")
    if plan.unchanged:
        text.append(f"{_count(len(plan.unchanged), 'host')} as wished: {named(plan.unchanged, verbose)}\n", "green")
    text.append(_unplanned_text(plan.unplanned, verbose))
    return text


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _group_text(group: Group, verbose: bool) -> Styled:
    text = Styled(f"\n{_count(len(group.hosts), 'host')}", "bold").append(f"  {named(group.hosts, verbose)}")
    text.append(f"  (plan {plain(group.hash)})\n", "dim")
    for step in group.steps:
        text.append(diff_text(step.diff))
    text.append("".join(f"{plain(line)}\n" for line in step_lines(group.steps)))
    if group.mends:
        text.append(f"mends {plain(', '.join(group.mends))}\n")
    return text


def _unplanned_text(unplanned: Sequence[Unplanned], verbose: bool) -> Styled:
    text = Styled()
    alike: dict[tuple[str, str], list[str]] = {}
    for one in unplanned:
        alike.setdefault((one.why, one.detail), []).append(one.host)
    for (why, detail), hosts in sorted(alike.items(), key=lambda item: -len(item[1])):
        text.append(f"{plain(why):<14}", "bold magenta").append(f"  {len(hosts)}  ", "bold")
        text.append(f"{named(hosts, verbose)}\n", "dim").append(f"      {plain(detail)}\n")
        text.append(f"      {WITHOUT_GPUCTL}\n" if why == CANNOT else "", "dim")
    return text
