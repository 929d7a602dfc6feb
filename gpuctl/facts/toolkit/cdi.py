"""The CDI specifications on this host: which devices they name, and what those put into a container.

Engines read the files NAME.json and NAME.yaml of some folders. Of two that name one device the one in the later folder
counts; in the same folder neither does, and the device cannot be resolved (https://github.com/cncf-tags/
container-device-interface, pkg/cdi/doc.go, "Device Precedence", and cache.go).
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Set, Tuple

from gpuctl.facts.toolkit.cdi_document import GPU_KIND, Document, parse_document
from gpuctl.host.look.reading import Host, Outcome, fact, failure
from gpuctl.host.status import parse_status, status_of
from gpuctl.model import Fact

FOLDERS = ("/etc/cdi", "/var/run/cdi")
"""CDI's own: that of what an administrator writes, then that of what is generated at every boot, which counts more."""
_LOOKED_AT = ("/usr/", "/lib", "/bin/", "/etc/", "/run/", "/var/run/")
"""Where mounts are looked at: a file system that hangs may lie anywhere else."""
SUFFIXES = (".json", ".yaml")
_LIBRARY = re.compile(r"/lib[^/]+\.so\.([1-9]\d{2,3}\.\d+(?:\.\d+)?)$")
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
class Spec:
    """A CDI specification. `devices` are the names behind `kind` and "=", `mode` the file's permission bits."""

    path: str
    mode: Optional[int]
    kind: str = ""
    version: str = ""
    devices: Tuple[str, ...] = ()
    nodes: Tuple[SpecNode, ...] = ()
    drivers: Tuple[str, ...] = ()
    """The driver versions in the names of the libraries that it mounts."""
    gone: Tuple[str, ...] = ()
    """What it mounts and is not there, where other things that it mounts are."""
    error: Optional[str] = None
    """Why no engine takes it."""

    @property
    def names(self) -> Tuple[str, ...]:
        """Its devices as they are asked for: nvidia.com/gpu=0."""
        return tuple("%s=%s" % (self.kind, device) for device in self.devices)


@dataclass(frozen=True)
class Cdi:
    """All specifications, those that count less first. Each fact's source is its file."""

    specs: Tuple[Fact[Spec], ...]

    def __str__(self) -> str:
        return ", ".join(spec.source for spec in self.specs)

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

    Absent where there is none, unknown where a folder is closed to us.
    """
    listings = [host.list(folder) for folder in folders]
    unread = [listing for listing in listings if listing.outcome not in (Outcome.OK, Outcome.ABSENT)]
    if unread:
        return Fact(None, unread[0].source, failure(unread[0]))
    names = ((listing.source, name) for listing in listings for name in listing.text.splitlines())
    paths = [posixpath.join(*place) for place in names if place[1].endswith(SUFFIXES)]
    return Fact(Cdi(tuple(_spec(host, path) for path in paths)) if paths else None, ", ".join(folders))


def _spec(host: Host, path: str) -> Fact[Spec]:
    seen = status_of(host.stat(path))
    return fact(host.read(path), lambda text: _described(host, path, seen.mode if seen else None, text))


def _described(host: Host, path: str, mode: Optional[int], text: str) -> Spec:
    document = parse_document(path, text)
    if document.error is not None:
        return Spec(path, mode, error=document.error)
    return Spec(
        path=path,
        mode=mode,
        kind=document.kind,
        version=document.version,
        devices=document.devices,
        nodes=tuple(_node(host, *node) for node in document.nodes),
        drivers=driver_versions(document),
        gone=_gone(host, document.mounts),
    )


def _gone(host: Host, mounts: Sequence[str]) -> Tuple[str, ...]:
    """None where nothing of it is there: then the driver lies elsewhere, or is hidden from us."""
    seen = {path: host.stat(path).outcome for path in mounts if path.startswith(_LOOKED_AT)}
    if Outcome.OK not in seen.values():
        return ()
    return tuple(path for path, outcome in seen.items() if outcome is Outcome.ABSENT)


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


def _numbers(text: str) -> Optional[Tuple[int, int]]:
    seen = parse_status(text)
    return (seen.major, seen.minor) if seen.kind in ("char", "block") else None
