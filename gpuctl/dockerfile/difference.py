"""What an old image has, and its application needs, that a new one lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum

from gpuctl.compat.knowledge.base_systems import BaseSystem, base_systems
from gpuctl.compat.knowledge.driver_parts import driver_part
from gpuctl.compat.knowledge.images import parse_tag
from gpuctl.compat.knowledge.libraries import cuda_library, package_of
from gpuctl.dockerfile.app.wants import Wants, machine_of, wants_of
from gpuctl.dockerfile.base import named
from gpuctl.dockerfile.carried import may_be_secret
from gpuctl.dockerfile.old_image import OldImage
from gpuctl.dockerfile.said import absolute
from gpuctl.frozen import dataclass
from gpuctl.images.run import RunConfig

_PATHS = ("PATH", "LD_LIBRARY_PATH")
_REQUIREMENT, _CUDA = "NVIDIA_REQUIRE_CUDA", "CUDA_VERSION"
_LONGEST = 120


class LackSubject(str, Enum):
    """What a difference is about; the order is that of display."""

    DISTRIBUTION = "distribution"
    CUDA = "cuda"
    REQUIREMENT = "requirement"
    LIBRARY = "library"
    ENVIRONMENT = "environment"
    START = "start"
    USER = "user"


@dataclass(frozen=True)
class Lack:
    """One thing in which the new image falls short of the old one, or is another: a sentence."""

    subject: LackSubject
    text: str


@dataclass(frozen=True)
class Compared:
    """All differences; faults of the old image that are no loss, and what could not be compared, each a sentence."""

    differences: tuple[Lack, ...]
    notes: tuple[str, ...]
    unknown: tuple[str, ...]


def compare_images(old: OldImage, new: OldImage) -> Compared:
    """Returns in what the new image falls short of the old one."""
    was, now = old.run, new.run
    unknown = tuple(image.unread for image in (old, new) if image.contents is None)
    found = (
        *_distribution(old, new),
        *_cuda(was, now),
        *_libraries(old, new),
        *_environment(was, now),
        *_start(was, now),
        *_user(was, now),
    )
    return Compared(found, tuple(_driver(old)), unknown)


def _distribution(old: OldImage, new: OldImage) -> Iterator[Lack]:
    was, now = system_of(old), system_of(new)
    if was and now and was != now:
        yield Lack(LackSubject.DISTRIBUTION, f"The old image is {was}, the new one {now}.")


def system_of(image: OldImage) -> str | None:
    """Returns an image's system by its files, else by its tag."""
    if image.contents:
        return image.contents.system
    tag = parse_tag(image.config.reference)
    return tag.os if tag else None


def _cuda(was: RunConfig, now: RunConfig) -> Iterator[Lack]:
    old, new = dict(was.env), dict(now.env)
    if old.get(_CUDA) and old.get(_CUDA) != new.get(_CUDA):
        has = f"the new one {new[_CUDA]}" if new.get(_CUDA) else "the new one names none"
        yield Lack(LackSubject.CUDA, f"The old image has CUDA {old[_CUDA]}, {has}.")
    if old.get(_REQUIREMENT, "") != new.get(_REQUIREMENT, ""):
        before, after = _shown(old.get(_REQUIREMENT)), _shown(new.get(_REQUIREMENT))
        yield Lack(LackSubject.REQUIREMENT, f"The old image required {before} of the host, the new one {after}.")


def _driver(old: OldImage) -> Iterator[str]:
    contents = old.contents
    if contents and contents.empty:
        yield f"{named(absolute(contents.empty))} is empty in the old image, left by a GPU container: not needed."
    if contents and contents.driver:
        yield f"{named(absolute(contents.driver))} is a part of a driver in the old image: the toolkit brings it."


def _libraries(old: OldImage, new: OldImage) -> Iterator[Lack]:
    machine = machine_of(old.contents.application) if old.contents else None
    if old.contents is None or machine is None:
        return
    wants = wants_of(old.contents.application, machine)
    system = base_systems().get(system_of(new) or "")
    for file, users in (*wants.libraries.items(), *wants.cuda.items()):
        if _has(old, file) and not _has(new, file):
            needed = f"{file}, which {named(absolute(users))} needs"
            yield Lack(LackSubject.LIBRARY, f"{needed}: {_cure(file, system)}.")
    yield from _symbols(wants, base_systems().get(old.contents.system or ""), system)


def _has(image: OldImage, file: str) -> bool:
    """Whether an image has a library: by its files, else by what its tag says of CUDA."""
    if image.contents:
        return file in image.contents.libraries
    library, tag = cuda_library(file), parse_tag(image.config.reference)
    if library is None or tag is None:
        return False
    if library.cudnn:
        return tag.cudnn == library.cudnn
    return library.comes_with(tag.cuda) and (library.flavour == "base" or tag.flavour in (library.flavour, "devel"))


def _cure(file: str, system: BaseSystem | None) -> str:
    library = cuda_library(file)
    if library:
        return f"comes with {library.versions}, in the flavour {library.flavour}"
    package = package_of(file, system) if system else None
    return f"install {package.name}" if package else "no package that holds it is known"


def _symbols(wants: Wants, was: BaseSystem | None, now: BaseSystem | None) -> Iterator[Lack]:
    for one in wants.symbols:
        if now and now.lacks(one.name, one.version) and not (was and was.lacks(one.name, one.version)):
            text = f"/{one.path} needs {one.name}_{one.version}, and {now.os} has {now.newest[one.name]}."
            yield Lack(LackSubject.LIBRARY, text)


def _environment(was: RunConfig, now: RunConfig) -> Iterator[Lack]:
    new = dict(now.env)
    for name, value in was.env:
        if name in (_REQUIREMENT, _CUDA):
            continue
        if name in _PATHS:
            there = new.get(name, "").split(":")
            lacking = [one for one in value.split(":") if one and one not in there and not driver_part(one)]
            if lacking:
                yield Lack(LackSubject.ENVIRONMENT, f"{name} lacks {', '.join(dict.fromkeys(lacking))}.")
        elif name not in new:
            shown = "" if may_be_secret(name, value) else f"={_shown(value)}"
            yield Lack(LackSubject.ENVIRONMENT, f"{name}{shown} is not set.")
        elif new[name] != value:
            secret = may_be_secret(name, value) or may_be_secret(name, new[name])
            values = "another value before" if secret else f"{_shown(value)} before, {_shown(new[name])} now"
            yield Lack(LackSubject.ENVIRONMENT, f"{name}: {values}.")


def _start(was: RunConfig, now: RunConfig) -> Iterator[Lack]:
    for what, before, after in (
        ("Entry point", was.entrypoint, now.entrypoint),
        ("Command", was.cmd, now.cmd),
        ("Working directory", was.workdir or "/", now.workdir or "/"),
        ("Ports", was.ports, now.ports),
        ("Volumes", was.volumes, now.volumes),
        ("Health check", was.healthcheck, now.healthcheck),
    ):
        if before and before != after:
            yield Lack(LackSubject.START, f"{what}: {_words(before)} before, {_words(after)} now.")


def _user(was: RunConfig, now: RunConfig) -> Iterator[Lack]:
    if (was.user or "root") != (now.user or "root"):
        yield Lack(LackSubject.USER, f"Its containers: {was.user or 'root'}'s before, {now.user or 'root'}'s now.")


def _words(value: object) -> str:
    if isinstance(value, str):
        return _shown(value)
    test = getattr(value, "test", value)
    return _shown(" ".join(test)) if isinstance(test, Sequence) else "none"


def _shown(value: str | None) -> str:
    if not value:
        return "none"
    return value if len(value) <= _LONGEST else value[:_LONGEST] + "…"
