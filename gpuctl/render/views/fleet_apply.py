"""What came of a plan that was carried out on a fleet, and of undoing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from gpuctl.command import Command
from gpuctl.fleet.changes import CHANGED, STATES, Change, ChangeRun
from gpuctl.fleet.plan import CANNOT
from gpuctl.fleet.run_folder import WITHOUT_GPUCTL
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import document
from gpuctl.render.views.fleet_collect import named


def change_json(name: str, run: ChangeRun) -> str:
    """Returns how every host of a run stands, wave by wave, as JSON."""
    counted = Counter(one.state for one in run.changes.values())
    body = {
        "run": run.folder,
        "command": run.plan.words,
        "summary": {**{state: counted[state] for state in STATES}, "unasked": len(run.hosts) - len(run.changes)},
        "stopped_before": run.stopped_before,
        "stopped_on": _stopping(run),
        "waves": run.waves,
        "hosts": [
            {
                "host": one.host,
                "state": one.state,
                "at": one.at,
                "runs": one.runs,
                "detail": one.detail,
                "found": one.found,
                "drained": one.drained,
            }
            for one in run.changes.values()
        ],
    }
    return document(name, body)


def apply_text(run: ChangeRun, verbose: bool, go_on: Command, take_back: Command) -> Styled:
    """Returns how the hosts ended, those alike together, and where it stopped; `verbose` names every host.

    `go_on`, `take_back`: the commands that do so with the same hosts.
    """
    good = [one.host for one in run.changes.values() if one.state in CHANGED]
    text = Styled(f"{len(good)} of {_hosts(len(run.hosts))} as the plan wishes", "bold").append(
        f": {plain(run.folder)}\n"
    )
    text.append(_states(run.changes.values(), verbose))
    if run.stopped_before is not None:
        text.append(f"Stopped before wave {run.stopped_before} of {len(run.waves)}", "bold red")
        text.append(f": {_why(run)}. Nothing was done to those that follow.\n")
    text.append(_out_of_service(run, verbose))
    if run.left(run.hosts):
        text.append("To go on with the others: ").append(f"{go_on}\n", "cyan")
    if run.standing:
        text.append("To undo it: ").append(f"{take_back}\n", "cyan")
    return text


def _why(run: ChangeRun) -> str:
    if not run.stopping:
        return f"{_hosts(len(run.failed))} failed"
    return f"{', '.join(_stopping(run))} on {named(list(run.stopping), False)}"


def _stopping(run: ChangeRun) -> list[str]:
    return sorted(frozenset[str]().union(*run.stopping.values()))


def undo_text(run: ChangeRun, asked: Sequence[str], verbose: bool, go_on: Command) -> Styled:
    """Returns which of the hosts that were asked were rolled back, and why the others were not.

    `go_on`: the command that asks the others again.
    """
    told = [run.changes[host] for host in asked]
    done = [one.host for one in told if one.state == "undone"]
    count = f"{len(done)} of {_hosts(len(asked))} rolled back" if asked else "Nothing is left to roll back"
    text = Styled(count, "bold").append(f": {plain(run.folder)}\n")
    text.append(_states(told, verbose)).append(_out_of_service(run, verbose))
    return text.append("To go on with the others: ").append(f"{go_on}\n", "cyan") if len(done) < len(asked) else text


def _out_of_service(run: ChangeRun, verbose: bool) -> Styled:
    if not run.drained:
        return Styled()
    return Styled(f"Out of service still: {named([one.host for one in run.drained], verbose)}\n", "yellow")


def _hosts(number: int) -> str:
    return f"{number} {'host' if number == 1 else 'hosts'}"


def _states(changes: Iterable[Change], verbose: bool) -> Styled:
    text = Styled()
    alike: dict[tuple[str, str], list[str]] = {}
    for one in changes:
        alike.setdefault((one.state, one.detail), []).append(one.host)
    for (state, detail), hosts in sorted(alike.items(), key=lambda item: -len(item[1])):
        text.append(f"{state:<14}", "bold" if state in CHANGED else "bold magenta").append(f"  {len(hosts)}  ", "bold")
        text.append(f"{named(hosts, verbose)}\n", "dim")
        if detail:
            text.append(f"      {plain(detail)}\n")
        text.append(f"      {WITHOUT_GPUCTL}\n" if state == CANNOT else "", "dim")
    return text
