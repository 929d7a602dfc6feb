"""The nvidia/cuda tags for people: what runs here, newest first, and how to choose."""

from __future__ import annotations

from dataclasses import asdict

from gpuctl.compat.answer.tags import Image, ImageList, Wanted, image_flavours, image_verdict, other_images
from gpuctl.compat.ask.question import Machine
from gpuctl.compat.knowledge.branch_ends import branch_ends, branch_reason, driver_words
from gpuctl.compat.knowledge.images import REPOSITORY, CudaImages, last_official_list
from gpuctl.compat.knowledge.jetpack import of_tegra, without_driver
from gpuctl.model import Verdict
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import document
from gpuctl.render.views.check import STYLES

_WORTH_SAYING = {
    Verdict.LIMITED: "limited: gpuctl check --cuda X.Y says by what; a toolkit in legacy mode may refuse to start it.",
    Verdict.NEEDS_PACKAGE: "needs-package: the image carries the cuda-compat package that this driver needs.",
    Verdict.UNKNOWN: "unknown: it depends on the product or its brand; name the GPU with --gpu.",
}
NO_LATEST = f"There is no {REPOSITORY}:latest since 2021: name a tag, {REPOSITORY} alone cannot be pulled either."


def image_text(found: ImageList, wanted: Wanted, machine: Machine) -> Styled:
    """Returns the tags, then the flavours and the other images, so that one screen is enough to choose."""
    text = Styled(f"{_heading(wanted, machine)}\n", "bold")
    reason = branch_reason(machine.driver) if machine.driver else None
    text.append(f"{reason.message}\n" if reason else "").append("\n")
    text.append(_tags(found)).append(_counts(found, machine))
    if not found.images:
        return text
    text.append("\n")
    for flavour in image_flavours():
        lines = f"{flavour.flavour:<7}  {flavour.contains}. {flavour.take_it}.\n"
        text.append(lines[:8], "bold").append(lines[8:])
    return text.append("\n").append(_others(machine)).append(f"{NO_LATEST}\n", "dim")


def _heading(wanted: Wanted, machine: Machine) -> str:
    kind = (
        f"of CUDA {wanted.cuda}" if wanted.cuda else "",
        f"for {wanted.os}" if wanted.os else "",
        f"({wanted.flavour})" if wanted.flavour else "",
        "with cuDNN" if wanted.cudnn else "",
    )
    what = " ".join(word for word in (f"Tags of {REPOSITORY}", *kind) if word)
    gpus = ", ".join(dict.fromkeys(gpu.name for gpu in machine.gpus))
    if machine.driver is None:
        told = gpus and not of_tegra(gpu.compute_capability for gpu in machine.gpus)
        return plain(f"{what} that some driver runs on {gpus}" if told else what)
    return plain(f"{what} that driver {driver_words(machine.driver)} runs on {gpus or 'some GPU'}")


def _tags(found: ImageList) -> Styled:
    width = max((len(image.reference) for image in found.images), default=0)
    text = Styled()
    for image in found.images:
        text.append(f"{image.reference:<{width}}  ", "bold" if image == found.best else "")
        if image.verdict:
            text.append(f"{image.verdict.value:<13}  ", STYLES[image.verdict])
        elif image.lowest_driver:
            text.append(f"from driver {image.lowest_driver:<11}  ")
        text.append(f"{_state(image.row)}\n", "dim")
    for verdict in dict.fromkeys(image.verdict for image in found.images):
        text.append(f"{_WORTH_SAYING[verdict]}\n" if verdict in _WORTH_SAYING else "", "dim")
    return text


def _state(row: CudaImages) -> str:
    """The state as of its day; what NVIDIA planned is told as a plan."""
    if row.status == "delisted":
        return f"gone or due to be (delisted after {row.as_of})"
    is_past = row.deletion_planned is not None and row.deletion_planned <= row.as_of
    tense = "deletion was" if is_past else "deletion"
    planned = f", {tense} planned for {row.deletion_planned}" if row.deletion_planned else ""
    return f"{row.status} {row.as_of}{planned}"


def _counts(found: ImageList, machine: Machine) -> Styled:
    text = Styled()
    if found.more:
        text.append(f"… and {found.more} more: --all lists them, --cuda, --flavour, --cudnn and --os choose.\n")
    if found.images and all(image.row.status == "delisted" for image in found.images):
        text.append("NVIDIA no longer lists any of them: a mirror or a local copy may have them.\n", "yellow")
    if found.best and found.best != found.images[0] and found.best.verdict:
        text.append("Best: ").append(found.best.reference, "bold").append(f" ({found.best.verdict.value}).\n")
    if not found.images:
        text.append(_none(found))
    if found.images and machine.driver is None:
        text.append(f"{without_driver(gpu.compute_capability for gpu in machine.gpus)}\n", "dim")
    return text


def _none(found: ImageList) -> Styled:
    if not found.not_running:
        return Styled(f"gpuctl knows no such tag; NVIDIA's last official list is of {last_official_list()}.\n")
    options = "--cuda, --gpu, --driver and --from"
    return Styled(f"None of these {found.not_running} tags runs: ask gpuctl recommend, with the same {options}.\n")


def _others(machine: Machine) -> Styled:
    text = Styled("Where a framework is wanted, these may fit better:\n")
    for other in other_images():
        verdict = image_verdict(other.cuda, machine) if other.cuda else None
        judged = f" CUDA {other.cuda}: {verdict.value} here." if verdict else ""
        caveat = f"; {other.caveat}" if other.caveat else ""
        lines = f"  {other.image}: {other.fits}{caveat}.{judged}\n"
        name = len(other.image) + 2
        text.append(lines[:name], "bold").append(lines[name:])
    return text


def image_json(found: ImageList, wanted: Wanted, machine: Machine, unknown: str | None) -> str:
    """Returns the tags as JSON; verdicts are null without a driver."""
    body = {
        "wanted": asdict(wanted),
        "driver": machine.driver,
        "branch_ends": branch_ends(machine.driver) if machine.driver else None,
        "gpus": [gpu.name for gpu in machine.gpus],
        "unknown": unknown,
        "images": [_image_json(image) for image in found.images],
        "more": found.more,
        "not_running": found.not_running,
        "best": found.best.reference if found.best else None,
        "flavours": [asdict(flavour) for flavour in image_flavours()],
        "latest": NO_LATEST,
        "others": [
            {**asdict(other), "verdict": image_verdict(other.cuda, machine) if other.cuda else None}
            for other in other_images()
        ],
    }
    return document("image", body)


def _image_json(image: Image) -> dict[str, object]:
    return {
        "reference": image.reference,
        "cuda": image.row.cuda,
        "flavour": image.tag.flavour,
        "library": image.tag.library,
        "cudnn": image.tag.cudnn,
        "os": image.row.os,
        "verdict": image.verdict,
        "lowest_driver": image.lowest_driver,
        "status": image.row.status,
        "as_of": image.row.as_of,
        "deletion_planned": image.row.deletion_planned,
        "note": image.row.note,
        "source": image.row.source,
    }
