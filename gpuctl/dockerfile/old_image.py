"""An old image looked at for a new one: its configuration, and where the daemon has it, its files."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from gpuctl.compat.knowledge.base_systems import system_called
from gpuctl.compat.knowledge.driver_parts import PartKind, driver_part
from gpuctl.dockerfile.app.scan import Application, application_of
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gather import Facts
from gpuctl.facts.machine.distribution import parse_os_release
from gpuctl.facts.machine.system import System
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host
from gpuctl.images.claims import DEADLINE
from gpuctl.images.config import ImageConfig, Unreadable
from gpuctl.images.daemon import local_endpoint, local_image
from gpuctl.images.export import ImageFiles, LayerFile, exported
from gpuctl.images.read import DOCKER_SECONDS, read_image
from gpuctl.images.run import RunConfig, parse_run
from gpuctl.regex import regex

_OF_THE_SYSTEM = regex(
    r"(?:bin|boot|dev|etc|lib|lib32|lib64|libx32|proc|run|sbin|sys|tmp|usr|var)(?:/.*)?|opt/nvidia(?:/.*)?|[^/]*"
    r"|(?:root|home/[^/]+)/\..*"
)
_LOCAL = regex(r"usr/local/(?!cuda|nvidia)[^/]+/.*")
"""What an image added to its system lies elsewhere, or here."""
_NOT_THE_DRIVERS = regex(r".*/(?:compat|stubs)/.*")
"""cuda-compat, and the toolkit's empty libraries to link with."""
_LIBRARY = regex(r".+\.so(?:\.[0-9.]+)?")
_LINKS_FOLLOWED = 8
_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")


@dataclass(frozen=True)
class Contents:
    """What an image's files tell: its system, what was added to it and where, and what is left of a driver in it.

    `empty` are files that a GPU container's mounts leave behind where it is committed or exported, `libraries` the
    names of all shared libraries in it, and of links to them.
    """

    system: str | None
    application: Application
    roots: tuple[str, ...]
    empty: tuple[str, ...]
    driver: tuple[str, ...]
    libraries: frozenset[str]


@dataclass(frozen=True)
class OldImage:
    """An image's configuration, and its contents; where these could not be read, `unread` says why."""

    config: ImageConfig
    run: RunConfig
    contents: Contents | None = None
    unread: str = ""


def look_at_image(reference: str, host: Host, facts: Facts, offline: bool) -> OldImage:
    """Returns what an image says and holds. Raises Unreadable, and ValueError for no image's name.

    Its files are read only where this host's Docker has it. `facts` must have System and Docker.
    """
    system = facts.get(System)
    architecture = (system.architecture.value if system else None) or "x86_64"
    config = read_image(reference, host, facts, architecture, DEADLINE, offline)
    try:
        run = parse_run(config.container)
    except ValueError as error:
        raise Unreadable(f"What {reference} says of its containers is not understood: {error}.") from None
    endpoint = local_endpoint(facts) if facts.get(Docker) else None
    if endpoint is None or local_image(reference, host, endpoint, DOCKER_SECONDS) is None:
        return OldImage(
            config, run, unread=f"This host's Docker does not have {reference}: its files were not looked at."
        )
    try:
        with exported(reference, endpoint) as files:
            return OldImage(config, run, _contents(files))
    except Unreadable as why:
        return OldImage(config, run, unread=str(why))


def _contents(image: ImageFiles) -> Contents:
    added = {path: file for path, file in image.files.items() if is_added(path)}
    regular = sorted(path for path, file in added.items() if file.target is None)
    links = {path: posixpath.relpath(target, "/") for path, target in _leading(image, added)}
    parts = sorted(path for path in image.files if _is_driver_part(path))
    empty = tuple(path for path in parts if image.files[path].size == 0 and image.files[path].target is None)
    mine = [path for path in regular if path not in parts]
    return Contents(
        _system(image),
        application_of(mine, {path for path in mine if added[path].executable}, links, image.opened),
        roots_of(added),
        empty,
        tuple(path for path in parts if path not in empty and image.files[path].target is None),
        frozenset(name for name in map(posixpath.basename, image.files) if _LIBRARY.fullmatch(name)),
    )


def is_added(path: str) -> bool:
    """Returns whether a file lies where images put applications, not where distributions put packages."""
    return bool(_LOCAL.fullmatch(path)) or not _OF_THE_SYSTEM.fullmatch(path)


def _is_driver_part(path: str) -> bool:
    part = driver_part("/" + path)
    return (
        part is not None
        and part.kind in (PartKind.LIBRARY, PartKind.PROGRAM)
        and not _NOT_THE_DRIVERS.fullmatch("/" + path)
    )


def roots_of(paths: Iterable[str]) -> tuple[str, ...]:
    """Returns the folders to copy, so that each of the paths lies in one: two levels deep, of /usr/local three."""
    return tuple(sorted({"/" + _root(path) for path in paths}))


def _root(path: str) -> str:
    pieces = path.split("/")
    depth = 3 if path.startswith("usr/local/") else 1 if len(pieces) == 2 else 2
    return "/".join(pieces[: min(depth, max(1, len(pieces) - 1))])


def _leading(image: ImageFiles, added: dict[str, LayerFile]) -> Iterator[tuple[str, str]]:
    """Each link with the regular file that it leads to, where it leads to one."""
    for path, file in added.items():
        place, target = path, file.target
        for _ in range(_LINKS_FOLLOWED):
            if target is None:
                break
            place = posixpath.normpath(posixpath.join("/", posixpath.dirname(place), target)).lstrip("/")
            found = image.files.get(place)
            if found is None:
                break
            target = found.target
            if target is None:
                yield path, "/" + place


def _system(image: ImageFiles) -> str | None:
    text = next(filter(None, map(image.text, _OS_RELEASE)), None)
    try:
        distribution = parse_os_release(text) if text else None
    except ValueError:
        return None
    return system_called(distribution.id, distribution.version) if distribution else None
