"""containerd as Kubernetes uses it: whose it is, its process, unit and files, and what the running daemon has."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from gpuctl.documents import load_toml
from gpuctl.facts.containerd.daemon import Cri, ask_cri, ask_running, ask_version
from gpuctl.facts.containerd.process import DEFAULT_CONFIG, DEFAULT_SOCKET, ContainerdProcess, option, probe_process
from gpuctl.facts.containerd.unit import FLAVOURS, Unit, probe_unit
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome, fact
from gpuctl.model import Fact
from gpuctl.regex import regex

__all__ = ["Containerd", "ContainerdProcess", "Cri", "Unit", "probe_containerd"]

PLACES: Mapping[str, str] = {
    "microk8s": "/snap/microk8s/current/bin/containerd",
    "k3s": "/var/lib/rancher/k3s/data/current/bin/containerd",
    "rke2": "/var/lib/rancher/rke2/bin/containerd",
    "k0s": "/var/lib/k0s/bin/containerd",
}
"""Where distributions of Kubernetes keep a containerd of their own. gpuctl runs it from there, and never by a path that
a process tells."""
TITLES: Mapping[str, str] = {"k3s": "K3s", "rke2": "RKE2", "microk8s": "MicroK8s's containerd", "k0s": "k0s"}
SELF_CONFIGURED: Mapping[str, str] = {"k3s": "k3s", "rke2": "rke2"}
"""Distributions that look for the runtime nvidia whenever they start, and the folder of their settings in /etc/rancher.
https://docs.k3s.io/advanced#nvidia-container-runtime-support, https://docs.rke2.io/add-ons/gpu_operators."""
_RELEASE = regex(r"([0-9]{1,4})(?:\.([0-9]{1,4}))?(?![0-9])")
_VERSION = regex(r"containerd\S{0,200} v?(\d\S*)")


@dataclass(frozen=True)
class Containerd:
    """Every way in which containerd may be there."""

    program: Fact[str]
    """The one on PATH, or of a distribution of Kubernetes its own. What runs may be another."""
    version: Fact[str]
    process: Fact[ContainerdProcess]
    """Absent when none runs."""
    flavour: Fact[str]
    """k3s, rke2, microk8s, k0s, plain (the system's own), docker (a part of dockerd); absent where there is none."""
    unit: Fact[Unit]
    """Absent too where something else than systemd started the process."""
    config: Fact[str]
    """The main file's path, whether or not there is one."""
    files: Fact[Tuple[str, ...]]
    """The main file and all that it imports, in the order in which containerd reads them; a later one counts more."""
    socket: Fact[str]
    """The path of the socket that it listens at."""
    cri: Fact[Cri]
    """Absent where it does not run, or runs without CRI."""
    running: Fact[Mapping[str, int]]
    """The running containers, the sandboxes of pods included, each with its process id."""

    @property
    def title(self) -> str:
        """Whose it is, as people call that."""
        return TITLES.get(self.flavour.value or "", "containerd")

    @property
    def endpoint(self) -> str:
        """The socket as a URL."""
        return "unix://%s" % self.socket.value

    @property
    def release(self) -> Tuple[int, int]:
        """The first two numbers of its version: 2.x reads files otherwise than 1.x. 1.0 where they are unknown."""
        found = _RELEASE.match(self.version.value or "")
        return (int(found.group(1)), int(found.group(2) or 0)) if found else (1, 0)


def probe_containerd(host: Host) -> Containerd:
    """Returns containerd from every side; of several the one that Kubernetes uses."""
    process = probe_process(host)
    ours = process.value
    unit = probe_unit(host, ours)
    known = _known_flavour(ours, unit)
    program = fact(host.which(PLACES.get(known.value or "", "containerd")), str)
    config = _config(ours, unit)
    socket = _socket(host, ours, config.value or "")
    endpoint = "unix://%s" % socket.value
    absent: Fact[Any] = Fact(None, process.source)
    version = ask_version(host, endpoint) if ours else absent
    told = version if version.value else _program_version(host, program)
    return Containerd(
        program=program,
        version=told,
        process=process,
        flavour=known if known.value else _flavour_of_program(unit, program),
        unit=unit,
        config=config,
        files=_files(host, config.value or "", told.value or ""),
        socket=socket,
        cri=ask_cri(host, endpoint) if ours else absent,
        running=ask_running(host, endpoint) if ours else absent,
    )


def _known_flavour(process: Optional[ContainerdProcess], unit: Fact[Unit]) -> Fact[str]:
    if process:
        return Fact(process.flavour, "/proc/%d/cmdline" % process.pid)
    return Fact(FLAVOURS[unit.value.name] if unit.value else None, unit.source)


def _flavour_of_program(unit: Fact[Unit], program: Fact[str]) -> Fact[str]:
    return Fact("plain" if program.value else None, program.source, unit.unknown if program.value else None)


def _config(process: Optional[ContainerdProcess], unit: Fact[Unit]) -> Fact[str]:
    if process:
        return Fact(process.config, "/proc/%d/cmdline" % process.pid)
    named = option(unit.value.argv, "config", "c") if unit.value else ""
    return Fact(named or DEFAULT_CONFIG, unit.source if named else "containerd(8)")


def _socket(host: Host, process: Optional[ContainerdProcess], config: str) -> Fact[str]:
    """The command line goes before the file. Of 3.x files the server plugin's table goes before grpc's."""
    if process and process.socket:
        return Fact(process.socket, "/proc/%d/cmdline" % process.pid)
    reading = host.read(config)
    found = fact(reading, lambda text: parse_address(load_toml(text)))
    return found if found.value else Fact(DEFAULT_SOCKET, "containerd(8)")


def parse_address(document: Dict[str, Any]) -> Optional[str]:
    """Returns the socket that a file names.

    [grpc]
      address = "/run/containerd/containerd.sock"
    """
    plugins = document.get("plugins", {})
    server = plugins.get("io.containerd.server.v1.grpc", {}) if isinstance(plugins, dict) else {}
    tables = (server, document.get("grpc", {}))
    named = (table.get("address") for table in tables if isinstance(table, dict))
    return next((address for address in named if isinstance(address, str) and address), None)


def _program_version(host: Host, program: Fact[str]) -> Fact[str]:
    if program.value is None:
        return Fact(None, program.source, program.unknown)
    return fact(host.run((program.value, "--version")), parse_version)


def parse_version(text: str) -> str:
    """Returns the version that the program tells. Raises ValueError.

    containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3
    containerd github.com/containerd/containerd/v2 2.1.9+unknown
    containerd github.com/k3s-io/containerd v1.7.23-k3s2
    """
    found = _VERSION.search(text)
    if not found:
        raise ValueError(text.strip() or "no output")
    return found.group(1)


def _files(host: Host, config: str, version: str) -> Fact[Tuple[str, ...]]:
    """As containerd loads them: those that a file imports come behind all that are known before, each only once."""
    found: List[str] = []
    pending = [config]
    while pending:
        path = pending.pop(0)
        if path in found:
            continue
        reading = host.read(path)
        if reading.outcome is Outcome.ABSENT and path == config:
            return Fact((), config)
        imports = fact(reading, parse_imports)
        if imports.value is None:
            return Fact(None, path, imports.unknown or "it is imported and not there")
        found.append(path)
        patterns = (posixpath.join(_base(pattern, path, version), pattern) for pattern in imports.value)
        pending += [name for pattern in patterns for name in globbed(host, posixpath.normpath(pattern))]
    return Fact(tuple(found), config)


def _base(pattern: str, parent: str, version: str) -> str:
    """Where a relative import is looked for: beside its file; before 1.7 a pattern in the daemon's folder, /."""
    before = re.match(r"1\.[0-6]\.", version)
    return "/" if before and "*" in pattern else posixpath.dirname(parent)


def parse_imports(text: str) -> List[str]:
    """Returns the files that a file imports, as they are written there. Raises ValueError.

    imports = ["/etc/containerd/conf.d/*.toml"]
    """
    imports = load_toml(text).get("imports", [])
    if not isinstance(imports, list) or not all(isinstance(entry, str) for entry in imports):
        raise ValueError("imports is not an array of strings")
    return imports


def globbed(host: Host, path: str) -> Iterator[str]:
    """Yields the paths that a pattern stands for, in their order; hidden ones too, as Go's filepath.Glob does."""
    if "*" not in path:
        yield path
        return
    folder, name = posixpath.split(path)
    for parent in globbed(host, folder):
        entries = sorted(host.list(parent).text.splitlines())
        yield from (posixpath.join(parent, entry) for entry in entries if fnmatch.fnmatchcase(entry, name))
