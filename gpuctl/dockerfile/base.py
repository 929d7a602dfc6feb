"""The image that a new one is based on: of those that all hosts run, the newest in which the application finds most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gpuctl.compat.answer.base_images import images_for_all
from gpuctl.compat.answer.tags import Image, Wanted
from gpuctl.compat.ask.question import Machine
from gpuctl.compat.knowledge.base_systems import BaseSystem, base_systems
from gpuctl.compat.knowledge.libraries import BasePackage, cuda_library
from gpuctl.dockerfile.app.wants import Wants
from gpuctl.frozen import dataclass

FLAVOURS = ("base", "runtime", "devel", "cudnn-runtime", "cudnn-devel")
"""Each holds what the one before holds, and those with cuDNN what they hold without it."""
PackageOf = Callable[[str, BaseSystem], BasePackage | None]
_LEVELS = ("base", "runtime", "devel")


class NoBase(Exception):
    """No image can be the base. The message is a sentence."""


@dataclass(frozen=True)
class NeededPackage:
    """A package to install, what the application needs of it, and the files that need it."""

    package: BasePackage
    file: str
    users: tuple[str, ...]


@dataclass(frozen=True)
class ChosenBase:
    """An image to be based on, what is to be installed in it, and why the application will not run in it even so."""

    image: Image
    system: BaseSystem
    installs: tuple[NeededPackage, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def flavour(self) -> str:
        """Its flavour: "base", "cudnn-runtime"."""
        return flavour_of(self.image)


def flavour_of(image: Image) -> str:
    """Returns the flavour of a tag, cuDNN included."""
    return image.tag.flavour if image.tag.cudnn is None else f"cudnn-{image.tag.flavour}"


def needed_flavour(wants: Wants | None) -> str:
    """Returns the smallest flavour in which the application's CUDA libraries lie."""
    found = {library.flavour for library in map(cuda_library, wants.cuda if wants else ()) if library}
    if "devel" in found and "cudnn-runtime" in found:
        return "cudnn-devel"
    return max(found, key=FLAVOURS.index, default="base")


def choose_base(
    wanted: Wanted,
    flavour: str | None,
    machines: Sequence[Machine],
    wants: Wants | None,
    package_of: PackageOf,
    fits: Callable[[Image, BaseSystem], bool] = lambda image, system: True,
) -> ChosenBase:
    """Returns the best base of those that fit. Raises NoBase, and ValueError where what is wanted does not exist."""
    flavour = flavour or needed_flavour(wants)
    running = images_for_all(wanted, machines)
    known = [image for image in running if image.row.os in base_systems()]
    if running and not known:
        systems = " and ".join(sorted({image.row.os or "a tag without a system" for image in running}))
        raise NoBase(f"What {systems} holds gpuctl does not know: take another system by --os.")
    images = [image for image in known if fits(image, base_systems()[image.row.os or ""])]
    fitting = [image for image in images if flavour_of(image) == flavour and not _has_more(image)]
    if not fitting:
        raise NoBase(_none(images, flavour, wanted))
    bases = (_base(image, wants, package_of) for image in fitting)
    return min(bases, key=lambda base: _rank(base, wants))


def _has_more(image: Image) -> bool:
    """Whether more lies on top of its flavour than cuDNN: TensorRT."""
    return image.tag.library is not None and image.tag.cudnn is None


def _none(images: Sequence[Image], flavour: str, wanted: Wanted) -> str:
    kind = f" {wanted.cuda}" if wanted.cuda else ""
    kind += f" on {wanted.os}" if wanted.os else ""
    if not images:
        return f"No tag of nvidia/cuda{kind} runs on all of these hosts: gpuctl recommend says which driver would."
    there = ", ".join(sorted({flavour_of(image) for image in images}, key=FLAVOURS.index))
    return f"No tag of nvidia/cuda{kind} that runs on these hosts is of the flavour {flavour}: there are {there}."


def _base(image: Image, wants: Wants | None, package_of: PackageOf) -> ChosenBase:
    system = base_systems()[image.row.os or ""]
    if wants is None:
        return ChosenBase(image, system)
    installs, unknown = _packages(wants, system, package_of)
    return ChosenBase(image, system, tuple(installs), (*_unmet(wants, image, system), *unknown))


def _packages(wants: Wants, system: BaseSystem, package_of: PackageOf) -> tuple[list[NeededPackage], list[str]]:
    installs: list[NeededPackage] = []
    unknown: list[str] = []
    for file, users in (*wants.libraries.items(), *wants.programs.items()):
        package = None if file.startswith("/") else package_of(file, system)
        if package:
            installs.append(NeededPackage(package, file, users))
        elif ".so" in file:
            unknown.append(f"{file}, which {named(users)} needs, is in no package of {system.os} that gpuctl knows.")
    return installs, unknown


def _unmet(wants: Wants, image: Image, system: BaseSystem) -> Iterator[str]:
    """What no package cures: another CUDA, cuDNN, C library."""
    tag, cuda = image.reference, image.row.cuda
    for soname, users in wants.cuda.items():
        library = cuda_library(soname)
        if library is None:
            continue
        if library.cudnn and library.cudnn != image.tag.cudnn:
            has = f"has cuDNN {image.tag.cudnn}" if image.tag.cudnn else "has none"
            yield f"{soname}, which {named(users)} needs, is cuDNN {library.cudnn}'s, and {tag} {has}."
        elif not library.cudnn and not library.comes_with(cuda):
            yield f"{soname}, which {named(users)} needs, comes with {library.versions}, and {tag} has {cuda}."
        elif not library.cudnn and _LEVELS.index(library.flavour) > _LEVELS.index(image.tag.flavour):
            yield f"{soname}, which {named(users)} needs, is in the flavour {library.flavour}, not in {tag}."
    for one in wants.symbols:
        if system.lacks(one.name, one.version):
            has = f"{system.os} has {system.newest[one.name]}"
            yield f"{one.path} needs {one.name}_{one.version}, and {has}: build it on that."
    for loader, users in wants.loaders.items():
        yield f"{named(users)} is built for another C library ({loader}), which {system.os} does not have."


def named(users: Sequence[str]) -> str:
    """Returns files as people name them: the first, and how many more there are."""
    return users[0] + (f" (and {len(users) - 1} more)" if len(users) > 1 else "")


def _rank(base: ChosenBase, wants: Wants | None) -> tuple[int, int]:
    """How much is amiss. What can be asked of an RPM repository by name alone may not be there."""
    is_rpm = base.system.family == "rpm"
    asked = sum(not install.package.known for install in base.installs) if is_rpm else 0
    return len(base.problems) + asked, _unhinted(wants, base.image.row.cuda) if wants else 0


def _unhinted(wants: Wants, cuda: str) -> int:
    """How many libraries of CUDA are named in a program's text, in none of the versions that come with this CUDA."""
    comes: dict[str, bool] = {}
    for soname in wants.hints:
        library, stem = cuda_library(soname), soname.partition(".so")[0]
        if library and not library.cudnn:
            comes[stem] = comes.get(stem, False) or library.comes_with(cuda)
    return sum(not one for one in comes.values())
