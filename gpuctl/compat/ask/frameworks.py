"""From a framework as a person names it to the CUDA version that it was built for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.compat.ask.asks import Ask, release_ask
from gpuctl.compat.ask.framework_images import image_ask, is_image
from gpuctl.compat.judge.rulings import resolve_cuda
from gpuctl.compat.knowledge.frameworks import (
    ForCpu,
    FrameworkRelease,
    NotKnown,
    cuda_of_tag,
    next_to_it,
    release_covering,
    releases_of,
)
from gpuctl.compat.knowledge.indirect import indirect_packages

if TYPE_CHECKING:
    from packaging.markers import Marker
    from packaging.requirements import Requirement
    from packaging.version import Version

# A package's name, and the table's frameworks under which its releases lie.
PACKAGES = {
    "pytorch": ("pytorch",),
    "torch": ("pytorch",),
    "tensorflow": ("tensorflow",),
    "tensorflow-gpu": ("tensorflow-gpu",),
    "jax": ("jax",),
    "jaxlib": ("jaxlib", "jax"),  # from 0.4 on their numbers are the same
    "onnxruntime-gpu": ("onnxruntime-gpu",),
    "faiss-gpu-cu12": ("faiss-gpu-cu12",),
    "ctranslate2": ("ctranslate2",),
    "xgboost": ("xgboost",),
}
_FOLDER_OF_BUILD = re.compile(r"[/-](cu[0-9]{2,3})/[^/]*$")
"""Where a release of one CUDA version lies, of wheels that do not say it themselves: v0.2.90-cu124/, whl/cu124/."""
_LONGEST = 4096  # an address that is signed may be long
TAG_SOURCE = "the tag of the build"
_FOR_GPUS = {"jax": "an extra such as jax[cuda12]", "jaxlib": "a tag such as +cuda12.cudnn89"}
_EXTRA = re.compile(r"cuda([0-9]*)(?:[_-].*)?")
_LAST_CUDA_11 = (0, 4, 25)  # until then jax[cuda] was jax[cuda11]: its metadata on PyPI


def framework_asks(text: str) -> tuple[Ask, ...]:
    """Returns the CUDA version that a framework asks for, named as pip's requirement or as an image.

    "pytorch==2.4.0+cu121", "torch>=2.4" (the newest known that fits), "jax[cuda12]", "ngc:24.05",
    "nvcr.io/nvidia/pytorch:24.05-py3". Where no tag names the build it is the one that pip installs.
    Raises ValueError for what is not known, and NoCuda (which is one) for a build that asks for no CUDA.
    """
    asked = text.strip()
    return (image_ask(asked) if is_image(asked) else package_ask(requirement_of(asked)),)


def requirement_of(text: str) -> Requirement:
    """Returns what a requirement names; for a wheel's address or path, what its file name says.

    Raises ValueError for text that is none. The message leaves addresses out: they may hold a password.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    if len(text) > _LONGEST:
        raise ValueError(f"{_shown(text)} goes on for longer than any requirement")
    address, marker = marked(text)
    if re.match(r"[^@\[;]*(://|\.whl$)", address):
        wheel = _of_wheel(address)
        wheel.marker = _marker(marker)
        return wheel
    try:
        requirement = Requirement(text)
    except (InvalidRequirement, RecursionError):
        raise ValueError(f"{_shown(text)} is no requirement such as torch==2.4.0") from None
    if requirement.url is None or not requirement.url.partition("#")[0].endswith(".whl"):
        return requirement
    wheel = _of_wheel(requirement.url)
    wheel.marker = requirement.marker
    return wheel


def marked(text: str) -> tuple[str, str]:
    """Returns an address or a path, and the marker behind it, "" where there is none: a blank beside the semicolon
    tells it from one that is in the address, as pip has it.
    """
    address, *marker = re.split(r"\s;|;\s", text, maxsplit=1)
    return address.strip(), marker[0].strip() if marker else ""


def _marker(text: str) -> Marker | None:
    from packaging.markers import InvalidMarker, Marker

    try:
        return Marker(text) if text else None
    except (InvalidMarker, RecursionError):
        raise ValueError(f"{text[:60]!r} is no marker such as sys_platform == 'linux'") from None


def pinned_version(requirement: Requirement) -> Version | None:
    """Returns the version that a requirement pins with `==`; None where it leaves a choice."""
    from packaging.version import InvalidVersion, Version

    clauses = list(requirement.specifier)
    if len(clauses) != 1 or not clauses[0].operator.startswith("=="):
        return None
    try:
        return Version(clauses[0].version)
    except InvalidVersion:
        return None


def package_ask(requirement: Requirement, index: str = "", pinned: Sequence[str] = ()) -> Ask:
    """Returns what a framework's package asks for.

    `index` is the tag of the index that it comes from ("cu121"); `pinned` are the CUDA versions that its surroundings
    pin, which tell the build where nothing else does. Raises ValueError and NoCuda, as `framework_asks` does.
    """
    name = requirement.name.lower().replace("_", "-")
    releases = _releases(name)
    version = pinned_version(requirement)
    extra = _extra(name, requirement, version)
    tag = (version.local if version else None) or extra or index
    cuda = cuda_of_tag(tag)
    if cuda is None:
        _refuse_without_cuda(name, tag)
    chosen = version or _newest_fitting(requirement, releases, cuda)
    label = f"{name}[{extra}] {chosen}" if extra else f"{name} {chosen}"
    release = None if chosen.epoch else release_covering(chosen.base_version, releases)
    if release is None:
        return _unlisted(label, chosen, None if extra else cuda, releases)
    if not release.builds:
        raise ForCpu(f"{label} is a build for the CPU and asks for no CUDA: the GPU's is tensorflow-gpu")
    build, remark = _build(label, release, cuda, pinned)
    newest = "the newest known that fits" if requirement.specifier else "the newest known"
    remarks = ("" if version else newest, _as(release, chosen), remark)
    said = "; ".join(part for part in remarks if part)
    ask = release_ask(release, build, f"{label} ({said})" if said else label)
    by_pip = not cuda and (build not in pinned or len(release.cudas) == 1)
    constraint = "" if version else str(requirement.specifier)
    return replace(ask, on_arm=release.on_arm if by_pip else None, constraint=constraint)


def _of_wheel(address: str) -> Requirement:
    from urllib.parse import unquote

    from packaging.requirements import Requirement
    from packaging.utils import parse_wheel_filename

    file = unquote(address.partition("#")[0].rpartition("/")[2])
    named = file.split("-")[:2] if file.endswith(".whl") else []
    try:
        # The tags after the version may be many, and say nothing here.
        name, version, _, _ = parse_wheel_filename("-".join([*named, "py3-none-any.whl"]))
    except ValueError:
        raise ValueError("the address is not that of a wheel, so it names no version") from None
    folder = _FOLDER_OF_BUILD.search(address)
    row = indirect_packages().get(name)
    if folder and row and row.built_there and not version.local:
        return Requirement(f"{name}=={version}+{folder[1]}")
    return Requirement(f"{name}=={version}")


def _shown(text: str) -> str:
    return repr(text.partition("://")[0].partition("@")[0][:60])


def _releases(name: str) -> tuple[FrameworkRelease, ...]:
    releases = releases_of(*PACKAGES.get(name, ()))
    if not releases and name in indirect_packages():
        raise NotKnown(f"{name} {indirect_packages()[name].why_unknown}")
    if not releases:
        known = ", ".join((*PACKAGES, "ngc:MONTH", "ufoym/deepo"))
        raise ValueError(f"{name[:60]!r} is no framework that gpuctl knows: it knows {known}")
    return releases


def _extra(name: str, requirement: Requirement, version: Version | None) -> str:
    """Returns the build that an extra of jax names: "cuda12" of jax[cuda12_pip]; "" where none does."""
    extras = (_EXTRA.fullmatch(extra.lower()) for extra in sorted(requirement.extras) if name == "jax")
    major = next((match[1] for match in extras if match), None)
    if major is None:
        return ""
    return f"cuda{major or ('11' if version and version.release <= _LAST_CUDA_11 else '12')}"


def _refuse_without_cuda(name: str, tag: str) -> None:
    if tag:
        raise NotKnown(f"the build {tag!r} of {name} is not known here: known are tags such as cu121")
    if name in _FOR_GPUS:
        raise ForCpu(f"{name} alone is a build for the CPU and asks for no CUDA: for a GPU it has {_FOR_GPUS[name]}")


def _newest_fitting(requirement: Requirement, releases: Sequence[FrameworkRelease], cuda: str | None) -> Version:
    """Returns the newest known version that the specifier admits, or a newer one that it names as its lowest."""
    from packaging.version import Version

    having = [release for release in releases if cuda and release.build_for(cuda)] or releases
    lowest = (clause.version for clause in requirement.specifier if clause.operator in (">=", "~="))
    candidates = {Version(release.version) for release in having} | {Version(version) for version in lowest}
    fitting = list(requirement.specifier.filter(candidates, prereleases=True))
    if not fitting:
        known = f"{releases[0].version} to {releases[-1].version}"
        raise NotKnown(f"no known version of {requirement.name} fits {requirement.specifier}: known are {known}")
    return max(fitting)


def _as(release: FrameworkRelease, version: Version) -> str:
    from packaging.version import Version

    return "" if Version(release.version) == Version(version.public) else f"as {release.version}"


def _unlisted(label: str, version: Version, cuda: str | None, releases: Sequence[FrameworkRelease]) -> Ask:
    """Returns what a version asks for that the table lacks: its build's tag tells, or nothing does (ValueError)."""
    from packaging.version import Version

    if cuda and resolve_cuda(cuda).unknown is None:
        return Ask(cuda, label, TAG_SOURCE, wheel=True, unjudged=(label,))
    older = [release.until or release.version for release in releases if Version(release.version) < version]
    newer = [release.version for release in releases if Version(release.version) > version]
    raise NotKnown(f"{label} is not known here: {next_to_it(older, newer)}")


def _build(label: str, release: FrameworkRelease, cuda: str | None, pinned: Sequence[str]) -> tuple[str, str]:
    """Returns the CUDA version of the build that is meant, and what is to be said about the choice, if anything."""
    if cuda:
        return _named_build(label, release, cuda)
    surroundings = [build for build in release.cudas if build in pinned]
    if release.default in surroundings:  # others are there for builds that say so in their tag
        return release.default, ""
    if surroundings or len(release.cudas) == 1:
        return (surroundings or release.cudas)[-1], ""
    if release.default:
        return release.default, "the build that pip installs"
    tried = [build for build in release.cudas if build not in release.experimental]
    return tried[-1], "the newest of its builds, for which one pip installs is not known"


def _named_build(label: str, release: FrameworkRelease, cuda: str) -> tuple[str, str]:
    build = release.build_for(cuda)
    if build:
        return build, ""
    published = ", ".join(release.cudas)
    if "." in cuda and resolve_cuda(cuda).unknown is None:
        told = f"the builds of it that are known here are for CUDA {published}"
        raise NotKnown(f"a build of {label} for CUDA {cuda} is not known here: {told}")
    raise ValueError(f"{label} has no build for CUDA {cuda}: its builds are for CUDA {published}")
