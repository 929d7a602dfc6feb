"""The CDI specifications on this host: which devices they name, and what those put into a container.

Engines read the files NAME.json and NAME.yaml of some folders. Of two that name one device the one in the later folder
counts; in the same folder neither does, and the device cannot be resolved (https://github.com/cncf-tags/
container-device-interface, pkg/cdi/doc.go, "Device Precedence", and cache.go).
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from typing import Dict, List, Mapping, Optional, Sequence, Set, Tuple

from gpuctl.facts.toolkit.cdi_document import Device, Document, parse_document
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome, Reading, fact, failure
from gpuctl.host.status import FileStatus, parse_status, status_of
from gpuctl.model import GPU_KIND, Fact
from gpuctl.regex import regex

FOLDERS = ("/etc/cdi", "/var/run/cdi")
"""CDI's own: that of what an administrator writes, then that of what is generated at every boot, which counts more."""
SUFFIXES = (".json", ".yaml")
_LIBRARY = regex(r"/lib[^/]+\.so\.([1-9]\d{2,3}\.\d+(?:\.\d+)?)$")
"""A library of the driver: no other one's version begins with three digits."""


@dataclass(frozen=True)
class SpecNode:
    """A device node that a specification puts into containers.

    `major` and `minor` are None where it leaves them out: the engine takes the host's then.
    """

    path: str
    major: Optional[int]
    minor: Optional[int]
    there: Fact[Tuple[int, int]]
    """Major and minor of what the host has at the path now."""


@dataclass(frozen=True)
class SpecFile:
    """A file of the host that a specification calls or mounts."""

    path: str
    there: Fact[FileStatus]
    """What the host has at the path now."""


@dataclass(frozen=True)
class Spec:
    """A CDI specification. `mode` is the file's permission bits."""

    path: str
    mode: Optional[int]
    kind: str = ""
    version: str = ""
    devices: Tuple[Device, ...] = ()
    nodes: Tuple[SpecNode, ...] = ()
    hooks: Tuple[SpecFile, ...] = ()
    mounts: Tuple[SpecFile, ...] = ()
    drivers: Tuple[str, ...] = ()
    """The driver versions in the names of the libraries that it mounts."""
    error: Optional[str] = None
    """Why no engine takes it."""

    @property
    def names(self) -> Tuple[str, ...]:
        """Its devices as they are asked for: nvidia.com/gpu=0."""
        return tuple("%s=%s" % (self.kind, device.name) for device in self.devices)


@dataclass(frozen=True)
class Cdi:
    """All specifications, those that count less first. Each fact's source is its file."""

    specs: Tuple[Fact[Spec], ...]
    passed_over: Tuple[str, ...] = ()
    """What engines do not look at: files of another name in the folders, and a folder that is a link."""

    def __str__(self) -> str:
        return ", ".join(spec.source for spec in self.specs)

    @property
    def for_gpus(self) -> Tuple[Fact[Spec], ...]:
        """Those that are for NVIDIA's GPUs as far as can be told: a broken one, or one that was not read, may be."""
        return tuple(spec for spec in self.specs if spec.value is None or spec.value.kind in ("", GPU_KIND))

    def in_effect(self, kind: str = GPU_KIND) -> Tuple[Spec, ...]:
        """Returns the specifications of that kind that name a device which no later folder names too."""
        specs = [spec.value for spec in self.specs if spec.value and spec.value.kind == kind]
        return tuple(spec for spec in specs if set(spec.names) - _named_later(spec, specs))

    @property
    def conflicts(self) -> Mapping[str, Tuple[str, ...]]:
        """The devices that cannot be resolved because files of one folder name them twice, each with the files.

        A later folder's definition does not help: CDI forgets a device that is in conflict anywhere (cache.go).
        """
        places: Dict[Tuple[str, str], List[str]] = defaultdict(list)
        for spec in (one.value for one in self.specs if one.value):
            for name in spec.names:
                places[name, posixpath.dirname(spec.path)].append(spec.path)
        return {name: tuple(paths) for (name, _), paths in places.items() if len(paths) > 1}


def _named_later(spec: Spec, specs: Sequence[Spec]) -> Set[str]:
    folder = posixpath.dirname(spec.path)
    later = (one for one in specs[specs.index(spec) + 1 :] if posixpath.dirname(one.path) != folder)
    return {name for one in later for name in one.names}


def probe_cdi(host: Host, folders: Sequence[str] = FOLDERS) -> Fact[Cdi]:
    """Returns the specifications in CDI's own folders, or in those that an engine is configured for.

    Absent where there is none, unknown where a folder is closed to us. A folder that is a link itself has none: engines
    walk it without following that (pkg/cdi/spec-dirs.go, by Go's filepath.Walk).
    """
    linked = tuple(folder for folder in folders if host.link(folder).ok)
    listings = [host.list(folder) for folder in folders if folder not in linked]
    unread = [listing for listing in listings if listing.outcome not in (Outcome.OK, Outcome.ABSENT)]
    if unread:
        return Fact(None, unread[0].source, failure(unread[0]))
    paths = [posixpath.join(one.source, name) for one in listings for name in one.text.splitlines()]
    specs = [path for path in paths if path.endswith(SUFFIXES)]
    others = tuple(path for path in paths if path not in specs)
    found = Cdi(tuple(_spec(host, path) for path in specs), (*linked, *others))
    return Fact(found if specs or found.passed_over else None, ", ".join(folders))


def _spec(host: Host, path: str) -> Fact[Spec]:
    seen = status_of(host.stat(path))
    return fact(host.read(path), lambda text: described(host, path, seen.mode if seen else None, text))


def described(host: Host, path: str, mode: Optional[int], text: str) -> Spec:
    """Returns what the text of a specification says, and what the host has of it. Raises ValueError (TooMuch)."""
    document = parse_document(text)
    if document.error is not None:
        return Spec(path, mode, document.kind, error=document.error)
    return Spec(
        path=path,
        mode=mode,
        kind=document.kind,
        version=document.version,
        devices=document.devices,
        nodes=tuple(_node(host, *node) for node in document.nodes),
        hooks=_files(host, document.hooks),
        mounts=_files(host, document.mounts),
        drivers=driver_versions(document),
    )


def driver_versions(document: Document) -> Tuple[str, ...]:
    """Returns the driver versions in the names of the libraries that are mounted, sorted.

    /usr/lib/x86_64-linux-gnu/libcuda.so.535.161.08
    """
    found = (_LIBRARY.search(path) for path in document.mounts)
    return tuple(sorted({match.group(1) for match in found if match}))


def _node(host: Host, path: str, major: Optional[int], minor: Optional[int]) -> SpecNode:
    if not path.startswith("/dev/"):  # a file system that hangs may lie anywhere else
        return SpecNode(path, major, minor, Fact(None, path, "gpuctl looks at nodes below /dev only"))
    return SpecNode(path, major, minor, fact(host.stat(path), _numbers))


def _files(host: Host, paths: Sequence[str]) -> Tuple[SpecFile, ...]:
    """Where one path hangs, its file system may be that of the rest: it is the last that is looked at."""
    seen: List[Reading] = []
    for path in paths:
        if seen and seen[-1].outcome is Outcome.TIMEOUT:
            seen.append(Reading(path, Outcome.TIMEOUT, detail="not looked at: %s hangs" % seen[-1].source))
        else:
            seen.append(host.stat(path))
    return tuple(SpecFile(path, fact(one, parse_status)) for path, one in zip(paths, seen))


def _numbers(text: str) -> Optional[Tuple[int, int]]:
    seen = parse_status(text)
    return (seen.major, seen.minor) if seen.kind in ("char", "block") else None
