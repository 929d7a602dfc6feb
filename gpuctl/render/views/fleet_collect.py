"""What `gpuctl fleet collect` brought: how many hosts reported, which did not, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gpuctl.command import command
from gpuctl.fleet.run_folder import WAYS_ON, HostOutcome, RecordedRun, State
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import document

NAMED = 3
UNASKED = "not asked"


def collect_text(run: RecordedRun, verbose: bool) -> Styled:
    """Returns how the hosts ended, those alike together; `verbose` names every one that has not reported."""
    reported = sum(one.state is State.REPORTED for one in run.outcomes.values())
    all = len(run.hosts)
    text = Styled(f"{reported} of {all} {'host' if all == 1 else 'hosts'} reported", "bold")
    text.append(f": {plain(run.folder)}\n")
    text.append(unreported_text(run, verbose))
    if reported:
        text.append("To judge them: ").append(f"{command('gpuctl', 'fleet', 'judge', run.folder)}\n", "cyan")
    return text.append(asking_again(run))


def asking_again(run: RecordedRun) -> Styled:
    """Returns the command by which those are asked again that have not reported, where there are such."""
    if not run.unreported or run.go_on is None:
        return Styled()
    return Styled("To ask the others again: ").append(f"{plain(str(run.go_on))}\n", "cyan")


def unreported_text(run: RecordedRun, verbose: bool) -> Styled:
    """Returns which hosts did not report, or not at once, and why, those alike together."""
    text = Styled()
    alike: dict[str, list[HostOutcome]] = {}
    for one in run.outcomes.values():
        if one.state is not State.REPORTED or one.detail:
            alike.setdefault(one.state.value, []).append(one)
    for state, hosts in sorted(alike.items(), key=lambda item: -len(item[1])):
        text.append(f"{state:<14}", "bold magenta").append(f"  {len(hosts)}  ", "bold")
        text.append(f"{named([one.host for one in hosts], verbose)}\n", "dim")
        for one in hosts if verbose else hosts[:1]:
            text.append(f"      {plain(one.host)}: {plain(one.detail)}\n")
        text.append(way_on(hosts[0].state, "      "))
    if run.unasked:
        text.append(f"{UNASKED:<14}", "bold magenta").append(f"  {len(run.unasked)}  ", "bold")
        text.append(f"{named(run.unasked, verbose)}\n", "dim")
    return text


def way_on(state: State, indent: str) -> Styled:
    """Returns as a line what to do where hosts ended so; nothing where the host itself says it."""
    return Styled(f"{indent}{WAYS_ON[state]}\n", "dim") if state in WAYS_ON else Styled()


def named(hosts: Sequence[str], verbose: bool) -> str:
    """Returns the names of some hosts; of many a few, unless `verbose`."""
    more = f" and {len(hosts) - NAMED} more" if len(hosts) > NAMED and not verbose else ""
    return plain(", ".join(hosts if verbose else hosts[:NAMED])) + more


def collect_json(run: RecordedRun) -> str:
    """Returns how every host ended as JSON."""
    states = Counter(one.state.value for one in run.outcomes.values())
    body = {
        "run": run.folder,
        "summary": {**{state.value: states[state.value] for state in State}, "unasked": len(run.unasked)},
        "hosts": [
            {"host": one.host, "state": one.state, "at": one.at, "detail": one.detail, "snapshot": one.snapshot}
            for one in run.outcomes.values()
        ],
        "unasked": run.unasked,
    }
    return document("fleet-collect", body)
