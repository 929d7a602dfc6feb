"""A doctor's report on one screen: worst first, each problem with its remedy."""

from __future__ import annotations

from collections.abc import Sequence

from gpuctl.checks.engine import LAYERS
from gpuctl.checks.engine_here import ON_THE_HOST, POD, engine_here, needs_no_engine, proof, title_of
from gpuctl.checks.mendable import fix, fixable
from gpuctl.command import Command, command
from gpuctl.facts.gather import Facts
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.model import Action, Report, Status
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.standing import counted
from gpuctl.render.views.finding import LOUD, MARKS, each_once, finding_text
from gpuctl.render.views.host import host_summary

PROVES_DRIVER = ("driver.nvml", "toolkit.csv")
"""A Jetson before JetPack 6 has no NVML: it is by its lists that containers get the GPU."""
PROVES_ENGINE = (
    "registration.runtime",
    "registration.hook-visible",
    "registration.containerd",
    "registration.crio",
    "registration.podman",
)
"""The checks that prove together that containers can have GPUs: a container alone proves more."""
_IN_DOUBT = ("docker.selinux", "registration.log", "toolkit.versions-agree")
"""Warnings that a container which asks for GPUs as usual may not be able to use them."""
_NOT_READY = {
    Action.REBOOT: "Containers can have GPUs here. Reboot this host before it is given more work.",
    Action.TAKE_OUT_OF_SERVICE: "Containers can have GPUs here. Give this host no more work until that is mended.",
}
"""What stands in the way of work where a warning alone asks for it: nothing that keeps a container from starting."""


def report_text(report: Report, facts: Facts, verbose: bool, origin: str = "", fixed: bool = False) -> Styled:
    """Returns the report; `verbose` adds what passed, what was skipped, every finding's evidence, and ways by hand.

    `origin` is the host and its day, where the facts come from a snapshot. `fixed`: what gpuctl can mend was tried.
    """
    text = Styled(f"{plain(origin)}\n" if origin else "", "bold").append(f"{plain(host_summary(facts))}\n\n", "bold")
    for finding, shown_at in each_once(report.findings):
        if verbose or finding.status in LOUD:
            text.append(finding_text(finding, verbose, shown_at)).append("\n" if finding.status in LOUD else "")
    return (
        text.append(_layers(report, facts))
        .append(_closing(report, verbose))
        .append(_next(report, facts, origin, fixed))
    )


def wrong_text(report: Report) -> Styled:
    """Returns what is wrong and not waived, and nothing where nothing is."""
    text = Styled()
    for finding, shown_at in each_once(report.findings):
        if finding.status in LOUD and finding.waived is None:
            text.append(finding_text(finding, verbose=False, shown_at=shown_at))
    return text


def _layers(report: Report, facts: Facts) -> Styled:
    """The layers in which something is wrong, each with the worst that is not waived; the engine's by its name."""
    line, engine = Styled(), engine_here(facts)
    for layer in LAYERS:
        found = [one.status for one in report.findings if one.layer == layer and not one.waived and one.status in LOUD]
        if found:
            name = title_of(engine, facts) if layer == "docker" and engine not in ("", "docker") else layer
            line.append("   " if line.plain else "").append(f"{name} ").append(
                *MARKS[min(found, key=list(Status).index)]
            )
    return line.append("\n") if line.plain else line


def _closing(report: Report, verbose: bool) -> Styled:
    """The counts, and how to see more."""
    return Styled(f"{counted(report)}.{'' if verbose else ' More with -v.'}\n", "dim")


def _next(report: Report, facts: Facts, origin: str, fixed: bool) -> Styled:
    """What leads on from here: what mends, or, on a host that is ready, what was proven and how to prove the rest."""
    engine = engine_here(facts)
    mended = () if fixed or not engine else fixable(report)
    if mended:
        there = ", on that host" if origin else ""
        return Styled(f"{len(mended)} of these{there}: ").append(f"{fix(mended, facts)}\n", "cyan")
    alone = needs_no_engine(facts)
    proven = _proven(report, ("docker.installed",) if alone else PROVES_ENGINE)
    if not proven or not (engine or alone):
        return Styled()
    if report.action in _NOT_READY:
        return Styled(f"{_NOT_READY[report.action]}\n", "bold yellow")
    doubts = [one.id for one in report.findings if one.status is Status.WARN and not one.waived and one.id in _IN_DOUBT]
    if doubts:
        return Styled(f"Ready but for {' and '.join(doubts)}: ", "bold yellow").append(f"{plain('; '.join(proven))}.\n")
    text = Styled("Ready: ", "bold green").append(f"{plain('; '.join(proven))}.\n")
    then = ON_THE_HOST if alone else _proof(engine, facts, report)
    return text if origin else text.append("Next: ").append(f"{then}\n", "cyan")


def _proof(engine: str, facts: Facts, report: Report) -> Command | str:
    """What proves the rest. Docker's --gpus comes to nothing on a Jetson, and smoke compares with what NVML tells."""
    tegra = facts.get(Tegra)
    if not tegra or not tegra.by_csv:
        return proof(engine) or POD
    if not any(one.id == "driver.nvml" and one.status is Status.PASS for one in report.findings):
        return command("gpuctl", "check", "--cuda", "X.Y")
    return proof(engine, "nvidia" if engine == "docker" else "") or POD


def _proven(report: Report, of_engine: Sequence[str]) -> list[str]:
    """What passed of that on which a GPU container rests; nothing where something stands in its way, or may."""
    if any(one.status in (Status.FAIL, Status.UNKNOWN) and one.waived is None for one in report.findings):
        return []
    passed = {one.id: one.message for one in report.findings if one.status is Status.PASS}
    driver = [passed[id] for id in PROVES_DRIVER if id in passed]
    engine = [passed[id] for id in of_engine if id in passed]
    return [*driver, *engine] if driver and engine else []
