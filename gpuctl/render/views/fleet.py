"""A fleet's report for people: what is wrong and where, classes of hosts, who is not like the others, who is silent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from itertools import groupby

from gpuctl.fleet.identity import Shared, Twins
from gpuctl.fleet.key_facts import NONE
from gpuctl.fleet.outliers import FEWEST, Differing, OddGpus, Spread
from gpuctl.fleet.report import CLASS_FACTS, FleetFinding, FleetReport, HostClass, Kind
from gpuctl.model import Status
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.views.finding import MARKS
from gpuctl.render.views.fleet_collect import asking_again, way_on

NAMED = 3
"""As many hosts of a class are named where not all are asked for."""
_CLASSES, _VALUES = 15, 5
"""As many classes are shown, and values of a fact, where not all are asked for."""
_INDENT = "      "


def fleet_text(report: FleetReport, verbose: bool) -> Styled:
    """Returns the report; `verbose` names every host, and shows facts in which all are alike."""
    text = Styled(f"{headline(report)}\n\n", "bold")
    for one in report.findings:
        text.append(_finding(one, verbose))
    if any(one.finding.commands for one in report.findings):
        text.append("The commands are for the hosts that are named, each by itself.\n\n", "dim")
    text.append(_section("Classes", list(_classes(report.classes, verbose))))
    shown = [one for one in report.spreads if verbose or one.differing or _is_split(one)]
    text.append(_section("Not like the others", [_spread(one, verbose) for one in shown]))
    text.append(
        _section("GPUs not like the others of their host", [Styled(f"{odd_words(one)}\n") for one in report.odd])
    )
    text.append(_section("Not one host each", [_twins(one, verbose) for one in report.twins]))
    text.append(_section("Without a report", list(_silences(report, verbose))))
    if report.is_mendable and report.run.mend is not None:
        text.append("To mend what gpuctl can on all of them: ").append(f"{report.run.mend}\n", "cyan")
    text.append(asking_again(report.run))
    return text.append(f"{closing(report)}{'' if verbose else ' More with -v.'}\n", "dim")


def headline(report: FleetReport) -> str:
    """Returns which run it is, of when, and how many of its hosts have reported."""
    at = datetime.fromtimestamp(report.run.run.at, timezone.utc)
    all = len(report.hosts)
    return (
        f"{plain(report.run.folder)}, {at:%Y-%m-%d %H:%M} UTC: "
        f"{all - report.silent} of {all} {'host' if all == 1 else 'hosts'} reported"
    )


def closing(report: FleetReport) -> str:
    """Returns how many hosts are how, as one line."""
    counts = {name: sum(len(one.hosts) for one in report.classes if stands(one.kind) == name) for name in STANDINGS}
    told = [f"{count} {name}" for name, count in counts.items() if count]
    told += [f"{len(one.hosts)} {one.state.value}" for one in report.silences]
    return f"Hosts: {', '.join(told) or 'none'}."


STANDINGS = ("failing", "undetermined", "warned", "good")


def stands(kind: Kind) -> str:
    """Returns how hosts of a class are in one word of STANDINGS: by the worst that is not waived."""
    statuses = {status for _, status, waived in kind.findings if not waived}
    words = zip((Status.FAIL, Status.UNKNOWN, Status.WARN), STANDINGS, strict=False)
    return next((word for status, word in words if status in statuses), STANDINGS[-1])


def names(hosts: Sequence[str], verbose: bool) -> str:
    """Returns hosts by name: three, or all."""
    if verbose or len(hosts) <= NAMED:
        return plain(", ".join(hosts))
    return f"{plain(', '.join(hosts[:NAMED]))} and {len(hosts) - NAMED} more"


def class_words(kind: Kind) -> str:
    """Returns what hosts of a class have alike, in a line."""
    known = {fact.name: value for fact, value in zip(CLASS_FACTS, kind.values, strict=True)}
    number = known.pop("gpus")
    gpus = f"{number or '?'} x {' + '.join(kind.products)}" if kind.products else "no GPU" if number == "0" else "GPUs"
    titles = {fact.name: fact.title for fact in CLASS_FACTS}
    bare = ("distribution", "engine")
    told = [_fact_words("" if name in bare else titles[name], value) for name, value in known.items() if value]
    return plain(", ".join(filter(None, (gpus, *told))))


def _fact_words(title: str, value: str) -> str:
    return f"{title} {value}".strip() if value != NONE else f"no {title}" if title in ("driver", "toolkit") else ""


def _section(title: str, parts: list[Styled]) -> Styled:
    text = Styled(f"{title}\n", "bold") if parts else Styled()
    for part in parts:
        text.append(part)
    return text.append("\n") if parts else text


def _finding(one: FleetFinding, verbose: bool) -> Styled:
    said = one.finding
    mark, style = MARKS[said.status]
    text = Styled(f"{mark}  ", "dim" if said.waived else style)
    text.append(plain(said.message), "" if said.waived else "bold").append(f"  {plain(said.id)}\n", "dim")
    if said.waived:
        text.append(f"{_INDENT}waived: {plain(said.waived)}\n")
    count = len(one.hosts)
    words = "; these are the words of the first" if one.varies else ""
    text.append(f"{_INDENT}on {count} {'host' if count == 1 else 'hosts'}: {names(one.hosts, verbose)}{words}\n")
    if said.remedy:
        disturbs = "" if said.disturbs == "nothing" else f" (disturbs {said.disturbs})"
        text.append(f"{_INDENT}{plain(said.remedy)}{disturbs}\n", "dim")
    for command in said.commands:
        text.append(f"{_INDENT}$ ", "dim").append(f"{plain(command)}\n", "cyan", whole=True)
    return text.append("\n")


def _classes(classes: Sequence[HostClass], verbose: bool) -> Iterator[Styled]:
    shown = len(classes) if verbose or len(classes) <= _CLASSES + 1 else _CLASSES
    yield from (_class(one, verbose) for one in classes[:shown])
    if shown < len(classes):
        hosts = sum(len(one.hosts) for one in classes[shown:])
        yield Styled(f"{hosts:>5}x  in {len(classes) - shown} more classes\n", "dim")


def _class(one: HostClass, verbose: bool) -> Styled:
    text = Styled(f"{len(one.hosts):>5}x  ", "bold").append(f"{class_words(one.kind)}\n")
    ids = [f"{MARKS[status][0]} {plain(id)}" for id, status, waived in one.kind.findings if not waived]
    if ids:
        text.append(f"        {', '.join(ids)}\n")
    return text.append(f"        {names(one.hosts, verbose)}\n", "dim")


def _is_split(one: Spread) -> bool:
    return one.majority is None and len(one.values) > 1 and one.hosts >= FEWEST


def _spread(one: Spread, verbose: bool) -> Styled:
    text = Styled(f"  {spread_words(one)}\n")
    groups = by_value(one)
    shown = len(groups) if verbose or len(groups) <= _VALUES + 1 else _VALUES
    for value, members in groups[:shown]:
        text.append(_differing(value, members, verbose))
    hosts = sum(len(members) for _, members in groups[shown:])
    return text.append(f"{_INDENT}{len(groups) - shown} more values on {hosts} hosts\n" if hosts else "", "dim")


def by_value(one: Spread) -> list[tuple[str, list[Differing]]]:
    """Returns who differs from the majority, those of one value together, most first."""
    groups = [(value, list(members)) for value, members in groupby(one.differing, key=lambda each: each.value)]
    return sorted(groups, key=lambda group: -len(group[1]))


def since_words(members: Iterable[Differing]) -> str:
    """Returns since when hosts differ, where that is one change of packages for all; else ""."""
    since = {one.since for one in members}
    return plain(since.pop()) if len(since) == 1 else ""


def spread_words(one: Spread) -> str:
    """Returns what most hosts have, or that there is no majority, in a line."""
    about = f"{one.hosts} hosts with {plain(one.product)}"
    if one.majority is not None:
        held = dict(one.values)[one.majority]
        return f"{one.fact.title}: {plain(one.majority)} on {held} of {about}"
    shown = [f"{plain(value)} on {count}" for value, count in one.values[:_VALUES]]
    more = [f"{len(one.values) - _VALUES} more values"] if len(one.values) > _VALUES else []
    return f"{one.fact.title}: no majority among {about}: {', '.join((*shown, *more))}"


def _differing(value: str, members: list[Differing], verbose: bool) -> Styled:
    since = since_words(members)
    together = f", since {since}" if since else ""
    text = Styled(f"{_INDENT}{plain(value)}", "yellow").append(
        f" on {names([*map(with_gpus, members)], verbose)}{together}\n"
    )
    if not together and verbose:
        for one in members:
            text.append(f"{_INDENT}  {plain(one.host)} since {plain(one.since)}\n" if one.since else "", "dim")
    return text


def with_gpus(one: Differing) -> str:
    """Returns a host that differs, with those of its GPUs that do."""
    return f"{one.host} ({gpu_words(one.gpus)})" if one.gpus else one.host


def gpu_words(indexes: Iterable[int]) -> str:
    """Returns GPUs by their indexes: "GPU 3", "GPUs 0, 1"."""
    told = [str(index) for index in indexes]
    return f"GPU{'' if len(told) == 1 else 's'} {', '.join(told)}"


def odd_words(one: OddGpus) -> str:
    """Returns how GPUs differ from the others of their host, in a line."""
    odd = ", ".join(f"{gpu_words([index])} has {value}" for index, value in one.odd)
    return plain(f"  {one.host}: {one.fact.title}: {odd}; {one.count} others have {one.usual} ({one.product})")


_SENTENCES = {
    Shared.ALL: (
        "are one host: they share a machine id and all GPUs, or the boot where none is seen",
        "Take all names but one off the list.",
    ),
    Shared.MACHINE: (
        "have one machine id, and other GPUs or boots: hosts that were made from one image",
        "Give each an id of its own (systemd-machine-id-setup(1)), and empty /etc/machine-id in the image.",
    ),
    Shared.GPU: (
        "have the same GPU and are not known to be one host",
        "Was it moved between two looks? Else one of the snapshots is not that host's.",
    ),
}


def twin_words(one: Twins, verbose: bool) -> tuple[str, str]:
    """Returns what hosts share that are not one each, and what to do."""
    said, remedy = _SENTENCES[one.shared]
    what = f" ({plain(one.what)})" if one.what else ""
    return f"{names(one.hosts, verbose)} {said}{what}.", remedy


def _twins(one: Twins, verbose: bool) -> Styled:
    said, remedy = twin_words(one, verbose)
    mark, style = MARKS[Status.WARN]
    return Styled(f"{mark}  ", style).append(said).append(f"  {one.shared.value}\n{_INDENT}{remedy}\n", "dim")


def _silences(report: FleetReport, verbose: bool) -> Iterator[Styled]:
    for one in report.silences:
        hosts = [host for host, _ in one.hosts]
        text = Styled(f"{len(hosts):>5}x  {one.state.value:<14}  ", "bold").append(f"{names(hosts, verbose)}\n", "dim")
        for host, detail in one.hosts if verbose else one.hosts[:1]:
            text.append(f"        {plain(host)}: {plain(detail)}\n")
        yield text.append(way_on(one.state, "        "))
