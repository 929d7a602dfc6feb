"""The base: whether its tag is there, stays what it is, is supported, and runs on the hosts that were named."""

from __future__ import annotations

from collections.abc import Iterator

from gpuctl.compat.ask.question import typed_cuda
from gpuctl.compat.knowledge.images import delisted, lacks_tag, listed, same_minor
from gpuctl.dockerfile.bases import NamedImage, base_of
from gpuctl.dockerfile.packages import NamedPackage
from gpuctl.dockerfile.rules.compile import compiles, without_need
from gpuctl.dockerfile.rules.engine import Found, Subject, WhyNot, base, rule, unresolved
from gpuctl.dockerfile.rules.versions import cuda_of_install
from gpuctl.dockerfile.stages import Stage
from gpuctl.engines.spans import Span

_SHORT_NAMES = {"rhel": "UBI", "ubuntu": "Ubuntu", "debian": "Debian", "centos": "CentOS", "rocky": "Rocky Linux"}


def _froms(subject: Subject) -> Iterator[tuple[Stage, NamedImage]]:
    """The stages that begin with an image, whose name is known."""
    for stage in subject.dockerfile.stages:
        if stage.parent is None and stage.image and not unresolved(stage.image):
            yield stage, base_of(stage.image)


@rule("dockerfile.base-gone")
def base_gone(subject: Subject) -> Iterator[Found]:
    """Finds tags of nvidia/cuda that are on no list of NVIDIA's any more, or never were."""
    for stage, one in _froms(subject):
        why = _gone(one)
        if why and (one.tag or stage.literal):  # a default that is no tag stands for what --build-arg gives
            yield Found(stage.start, stage.end, why, _retagged(stage, same_minor(one.reference)))


def _gone(one: NamedImage) -> str | None:
    return delisted(one.reference) or lacks_tag(one.reference)


def _retagged(stage: Stage, tag: str | None) -> tuple[Span, ...]:
    """The edit that puts another tag in, where the image is written out."""
    if tag is None or not stage.literal or "@" in stage.image:
        return ()
    return ((stage.start + len(stage.image.rpartition(":")[0]) + 1, stage.end, tag),)


@rule("dockerfile.base-unsupported")
def base_unsupported(subject: Subject) -> Iterator[Found]:
    """Finds tags of nvidia/cuda that NVIDIA lists as unsupported."""
    for stage, one in _froms(subject):
        row = listed(one.reference)
        if row and row.status == "unsupported":
            tag = same_minor(one.reference)
            advice = f" nvidia/cuda:{tag} is supported." if tag else ""
            message = f"NVIDIA lists {stage.image} as unsupported: it may be deleted.{advice}"
            yield Found(stage.start, stage.end, message, _retagged(stage, tag))


@rule("dockerfile.base-moving")
def base_moving(subject: Subject) -> Iterator[Found]:
    """Finds GPU images whose tag moves. A bare `latest`, or no tag at all, is hadolint's: DL3006, DL3007."""
    for stage, one in _froms(subject):
        label = one.reference.partition("@")[0].partition(":")[2]
        if not one.of_gpus or "@" in one.reference or label in ("", "latest"):
            continue
        row = listed(one.reference)
        if row and row.status != "delisted" and row.cuda.count(".") < 2:
            message = f"{stage.image} names no update of CUDA {row.cuda}: NVIDIA moves such a tag."
            yield Found(stage.start, stage.end, message)
        elif not one.nvidia_cuda and _moves(one.reference):
            yield Found(stage.start, stage.end, f"{stage.image} moves: it is another image with each release.")


def _moves(reference: str) -> bool:
    from gpuctl.compat.ask.publisher_tags import is_moving  # what is built on nvidia/cuda needs no table of builds

    return is_moving(reference)


@rule("dockerfile.base-distribution")
def base_distribution(subject: Subject) -> Iterator[Found]:
    """Finds bases of releases whose support is over, in what has to do with GPUs; a deleted base is told as such."""
    for stage, one in _froms(subject):
        release = one.release
        if release is None or _gone(one) or not (one.of_gpus or stage in subject.gpu):
            continue
        if release.ended:
            name = f"{_SHORT_NAMES.get(release.id, release.id)} {release.version}"
            message = f"{stage.image} is of {name}, without support since {release.end_of_life} at the latest."
            yield Found(stage.start, stage.end, message)


@rule("dockerfile.host-cuda")
def host_cuda(subject: Subject) -> Iterator[Found]:
    """Finds what a named host does not run: the base's CUDA, and that of frameworks and toolkits installed on it."""
    why_not = subject.why_not
    for stage in subject.dockerfile.shipped if why_not else ():
        one, root = base(stage), stage.line[0]
        ask = one.ask
        if ask and why_not and (why := why_not(ask, one.carries_compat)):
            what = f"The build for CUDA {ask.cuda} in" if ask.tells_gpus else f"CUDA {ask.cuda} of"
            yield Found(root.start, root.end, f"{what} {root.image} does not run on {why}.")
            continue
        compat = any(install.name.startswith("cuda-compat-") for step in stage.all_steps for install in step.installs)
        for step in stage.all_steps:
            for install in step.installs:
                yield from _install(why_not, install, one.carries_compat or compat)


def _install(why_not: WhyNot | None, install: NamedPackage, with_compat: bool) -> Iterator[Found]:
    cuda = cuda_of_install(install)
    if cuda and why_not and (why := why_not(typed_cuda(cuda), with_compat)):
        yield Found(install.word.start, install.word.end, f"CUDA {cuda} of {install.name[:60]} does not run on {why}.")


@rule("dockerfile.flavour")
def flavour(subject: Subject) -> Iterator[Found]:
    """Finds a devel base where nothing is compiled, and cuDNN beside a framework that brings its own."""
    for stage in subject.dockerfile.shipped:
        one, root = base(stage), stage.line[0]
        if one.tag is None or unresolved(root.image):
            continue
        if one.tag.flavour == "devel" and not compiles(stage):
            message = (
                f"Nothing in the shipped stage compiles: {root.image} holds a compiler for it; take runtime or base."
            )
            yield Found(root.start, root.end, message)
        elif one.tag.cudnn and one.tag.flavour == "runtime" and without_need(stage):
            message = f"The framework's wheel brings its own cuDNN and CUDA libraries beside {root.image}'s: take base."
            yield Found(root.start, root.end, message)
