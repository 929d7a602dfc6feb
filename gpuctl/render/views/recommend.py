"""A recommendation for people: what to do, which driver that is, why, and the commands."""

from __future__ import annotations

from dataclasses import asdict

from gpuctl.compat.answer.driver_choice import DriverChoice
from gpuctl.compat.answer.recommendation import KINDS, Advice, Recommendation
from gpuctl.compat.knowledge.branch_ends import branch_ends
from gpuctl.render.draw.text import Styled, plain, remedy_lines
from gpuctl.render.formats.json import as_json, document

_STYLES = {
    Advice.KEEP: "bold green",
    Advice.INSTALL: "bold yellow",
    Advice.NONE: "bold red",
    Advice.UNKNOWN: "bold magenta",
}
_MODULES = {
    "no": "proprietary (the open one does not drive these GPUs)",
    "optional": "open or proprietary",
    "required": "open (the proprietary one does not drive these GPUs)",
    "only": "open (this branch has no other)",
    None: "not known; the open one is NVIDIA's default",
}


def recommendation_text(found: Recommendation) -> Styled:
    """Returns the answer in a line, the driver's particulars, the reasons with their documents, then the commands."""
    text = Styled(found.answer.value, _STYLES[found.answer]).append(f"  {plain(_headline(found))}\n")
    for name, words in _particulars(found):
        text.append(f"  {name:<10}", "dim").append(f"{plain(words)}\n")
    for reason in found.reasons:
        text.append(f"    {plain(reason.message)}\n").append(f"      {plain(reason.source)}\n", "dim")
    if found.remedy:
        text.append("\n").append(remedy_lines(found.remedy, ""))
    return text


def _headline(found: Recommendation) -> str:
    what = f"CUDA {found.cuda}" if found.cuda else "a driver"
    if not found.gpus:
        return f"{what}: there is no GPU to recommend one for"
    names = [gpu.name for gpu in found.gpus]
    counted = ((names.count(name), name) for name in dict.fromkeys(names))
    where = ", ".join(f"{count} x {name}" if count > 1 else name for count, name in counted)
    if found.answer == Advice.KEEP:
        return f"{what if found.cuda else 'the driver'} on {where}: driver {found.present} will do, nothing to install"
    if found.answer == Advice.NONE:
        return f"{what} on {where}: no driver known here would do"
    return f"{what} on {where}"


def _particulars(found: Recommendation) -> list[tuple[str, str]]:
    choice, told = found.choice, []
    if choice and choice.branch and found.answer == Advice.INSTALL:
        told.append(("branch", _branch(choice)))
    if choice and choice.lowest and found.answer == Advice.INSTALL:
        told.append(("driver", _range(choice)))
    if found.package:
        told += [("module", _MODULES[found.open_module]), ("package", found.package)]
    if found.package or found.image:
        told.append(("image", found.image or "none known of nvidia/cuda"))
    return told


def _branch(choice: DriverChoice) -> str:
    branch = choice.branch
    if branch is None:
        return ""
    kind = f"{KINDS[branch.kind]}, " if branch.kind in KINDS else ""
    over = f"support ended {branch.end_of_life}" if branch.end_of_life else "no longer supported"
    newest = f"; newest known {branch.newest_version}" if branch.newest_version else ""
    return f"{branch.branch} ({kind}{f'supported until {branch.end_of_life}' if choice.supported else over}{newest})"


def _range(choice: DriverChoice) -> str:
    below = f", below {choice.below}" if choice.below else ""
    limited = " with limits" if choice.limited else ""
    older = f"; with limits from {choice.limited_from}" if choice.limited_from else ""
    return f"{choice.lowest} or newer{below}{limited}{older}"


def recommendation_json(found: Recommendation) -> str:
    """Returns the recommendation as JSON; null for what the answer has not."""
    choice = found.choice
    body = {
        "answer": found.answer,
        "cuda": found.cuda,
        "gpus": [
            {
                "name": gpu.name,
                "compute_capability": gpu.compute_capability or None,
                "architecture": gpu.architecture,
            }
            for gpu in found.gpus
        ],
        "present_driver": found.present,
        "branch_ends": branch_ends(found.present) if found.present else None,
        "verdict": found.verdict,
        "driver": _driver_json(choice) if choice else None,
        "open_module": found.open_module,
        "package": found.package,
        "image": found.image,
        "newest_cuda": found.newest_cuda,
        "reasons": [asdict(reason) for reason in found.reasons],
        "remedy": as_json(found.remedy),
    }
    return document("recommend", body)


def _driver_json(choice: DriverChoice) -> dict[str, object]:
    branch = choice.branch
    return {
        "branch": branch.branch if branch else None,
        "kind": branch.kind if branch else None,
        "end_of_life": branch.end_of_life if branch else None,
        "supported": choice.supported,
        "newest_version": branch.newest_version if branch else None,
        "lowest": choice.lowest,
        "with_limits_from": choice.limited_from,
        "limited": choice.limited,
        "below": choice.below,
    }
