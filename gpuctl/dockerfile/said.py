"""What is said beside a new Dockerfile: what keeps the application from running, and what is worth knowing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpuctl.compat.knowledge.libraries import cuda_library, package_of
from gpuctl.dockerfile.app.scan import Application
from gpuctl.dockerfile.app.wants import Wants
from gpuctl.dockerfile.base import ChosenBase, named
from gpuctl.dockerfile.old_image import OldImage
from gpuctl.regex import regex

_LINKS = 5
"""How many are shown."""
_EXTENSION = regex(r"\.cpython-(\d)(\d+)-[^/]*\.so$")


def foreign_problems(wants: Wants, application: Application) -> Iterator[str]:
    """Yields what is wrong with an application that has nothing for the hosts' processor."""
    if application.binaries and all(one.machine != wants.machine for one in application.binaries):
        for machine, paths in wants.foreign.items():
            yield f"{named(paths)} is built for {machine}, and the hosts are {wants.machine}."


def base_notes(base: ChosenBase) -> Iterator[str]:
    """Yields what is not certain of a base and of what is installed in it."""
    unknown = [install for install in base.installs if not install.package.known]
    if unknown and base.system.family == "rpm":
        yield f"Whether the repositories of {base.system.os} have what is asked for by its name, the build will tell."
    for install in unknown if base.system.family != "rpm" else ():
        what = f"Whether {install.package.name} holds {install.file} on {base.system.os}"
        yield f"{what} is not in gpuctl's table: the build will tell."
    if base.image.row.status == "delisted":
        yield f"NVIDIA no longer lists {base.image.reference}: a mirror or a local copy may have it."


def application_notes(base: ChosenBase, wants: Wants, application: Application) -> Iterator[str]:
    """Yields what of an application the image does not answer, or may not."""
    for machine, paths in wants.foreign.items():
        yield f"For another processor ({machine}): {named(paths)}."
    installed = {install.file for install in base.installs}
    for program, users in wants.programs.items():
        if program not in installed:
            yield f"{named(users)} is a script for {program}, which the image does not have."
    for library, users in wants.hints.items():
        source = _source(library, base)
        if source:
            yield f"{named(users)} names {library} ({source}) in its text, and may open it: a hint only."
    yield from _of_python(application)
    yield from application.broken[:_LINKS]
    for path in application.leaving[:_LINKS]:
        yield f"{path} is a link that leads out of the folder: what it leads to does not come along."


def _source(library: str, base: ChosenBase) -> str:
    """Where a library comes from, "" where that is not known: most names in texts are of what need not be there."""
    cuda, package = cuda_library(library), package_of(library, base.system)
    if cuda:
        return f"{cuda.versions}, flavour {cuda.flavour}"
    return package.name if package and package.known else ""


def _of_python(application: Application) -> Iterator[str]:
    """Extensions of Python, which are built for one version of it, and of which no base has any."""
    found: dict[str, list[str]] = {}
    for path in sorted(application.files):
        extension = _EXTENSION.search(path)
        if extension:
            found.setdefault(f"{extension[1]}.{extension[2]}", []).append(path)
    for version, paths in found.items():
        yield f"{named(paths)} is for Python {version}, which the image has to bring."


def old_notes(old: OldImage) -> Iterator[str]:
    """Yields the faults of an old image that are not carried over, and what could not be looked at."""
    if old.contents is None:
        yield old.unread
        return
    if old.contents.empty:
        yield (
            f"{named(absolute(old.contents.empty))} is empty: what a GPU container's mounts leave behind where it is"
            " committed or exported. It is not copied."
        )
    if old.contents.driver:
        yield f"{named(absolute(old.contents.driver))} is a part of a driver in the old image: the toolkit brings it."
    if old.contents.system is None:
        yield "The old image has no os-release: its distribution is not known."


def absolute(paths: Sequence[str]) -> tuple[str, ...]:
    """Returns the paths of an image's files as containers have them."""
    return tuple("/" + path for path in paths)
