"""Docker: which kind of it is there, what its daemon says of itself, how it was started, what its file says."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass
from typing import Any, FrozenSet, Mapping, Optional

from gpuctl.facts.daemon_json import ConfigFile, parse_config
from gpuctl.facts.docker_daemon import Daemon, probe_daemon
from gpuctl.facts.docker_endpoint import Endpoint, probe_endpoint, runtime_folder
from gpuctl.facts.docker_flags import keys_set, values
from gpuctl.facts.docker_process import Process, probe_process
from gpuctl.facts.docker_unit import Unit, probe_unit
from gpuctl.facts.machine import parse_environ
from gpuctl.facts.toolkit import HOOK
from gpuctl.host.deadline import begin
from gpuctl.host.reading import Host, Reading, fact
from gpuctl.model import Fact

__all__ = ["ConfigFile", "Daemon", "Docker", "Endpoint", "Process", "Unit", "probe_docker"]

RUNTIME = "nvidia"
ELSEWHERE = ("desktop", "podman", "remote")
"""Kinds whose daemon is no dockerd of this machine."""
_CLIENT_VERSION = re.compile(r"^(?:Docker|podman) version ([^\s,]+)", re.MULTILINE)


@dataclass(frozen=True)
class Docker:
    """Every way in which Docker may be there."""

    client: Fact[str]
    """Where the docker program is."""
    kind: Fact[str]
    """engine, rootless, snap, desktop, podman, remote; absent when there is no daemon."""
    endpoint: Fact[Endpoint]
    daemon: Fact[Daemon]
    process: Fact[Process]
    unit: Fact[Unit]
    """Absent too when systemd's unit is another daemon than the one at the endpoint."""
    flags: Fact[FrozenSet[str]]
    """daemon.json keys that are also set on the command line: "runtimes" for --add-runtime, and so on."""
    config: Fact[ConfigFile]
    """Absent when the daemon's file does not exist; its source is the path all the same."""
    runtime_file: Fact[str]
    """The program of the registered runtime nvidia, as dockerd finds it; absent when there is no such program."""
    hook_file: Fact[str]
    """nvidia-container-runtime-hook on dockerd's own PATH."""
    client_version: Fact[str]
    """Of the docker program, or of Podman where that plays its part. Before 19.03 it has no --gpus."""


def probe_docker(host: Host) -> Docker:
    """Returns Docker from every side: its client, its daemon's answers, its process, unit and file."""
    said = begin(lambda: host.run(("docker", "--version")))
    client = fact(host.which("docker"), str)
    found = probe_endpoint(host)
    endpoint = found.value
    if endpoint is None:
        lost: Fact[Any] = Fact(None, found.source, found.unknown)
        version = fact(said(), parse_client_version)
        return Docker(client, lost, found, lost, lost, lost, lost, lost, lost, lost, version)
    user = endpoint.url.startswith("unix://%s/" % runtime_folder(host))
    any_unit = begin(lambda: probe_unit(host, user))
    any_process = begin(lambda: probe_process(host, endpoint))
    daemon, kind = probe_daemon(host, endpoint)
    process = _of_this_machine(any_process(), daemon, kind)
    unit = _of_this_daemon(any_unit(), endpoint, process, user)
    return Docker(
        client=client,
        kind=_or_podman(kind, said()),
        endpoint=found,
        daemon=daemon,
        process=process,
        unit=unit,
        flags=_flags(process, unit),
        config=_config(host, kind, process, unit),
        runtime_file=_runtime_file(host, daemon, process),
        hook_file=_on_path(host, HOOK, process),
        client_version=fact(said(), parse_client_version),
    )


def parse_client_version(text: str) -> str:
    """Returns the client's version. Raises ValueError.

    Docker version 20.10.24+dfsg1, build 5d6db84
    podman version 4.3.1
    """
    found = _CLIENT_VERSION.search(text)
    if not found:
        raise ValueError(text.strip() or "no output")
    return found.group(1)


def _or_podman(kind: Fact[str], said: Reading) -> Fact[str]:
    """Podman's docker program needs no daemon: where none answers, what it says of itself tells."""
    return Fact("podman", said.source) if kind.value is None and said.text.startswith("podman version") else kind


def _of_this_machine(process: Fact[Process], daemon: Fact[Daemon], kind: Fact[str]) -> Fact[Process]:
    if kind.value in ELSEWHERE:
        return Fact(None, kind.source)
    if daemon.value and process.value is None and process.unknown is None:
        return Fact(None, process.source, unknown="the daemon answers, and its process cannot be seen from here")
    return process


def _of_this_daemon(unit: Fact[Unit], endpoint: Endpoint, process: Fact[Process], user: bool) -> Fact[Unit]:
    """A unit's main process is the daemon, but for rootless Docker's, which is the daemon's forefather."""
    if unit.value is None or user:
        return unit
    ours = unit.value.pid == process.value.pid if process.value else endpoint.origin == "default"
    return unit if ours else Fact(None, "%s (another daemon than %s)" % (unit.source, endpoint.url))


def _flags(process: Fact[Process], unit: Fact[Unit]) -> Fact[FrozenSet[str]]:
    """Of the running process and of the unit, which counts from the next start on."""
    known = [(fact.source, fact.value.argv) for fact in (process, unit) if fact.value]
    if not known:
        return Fact(None, process.source, process.unknown or unit.unknown)
    keys = frozenset(key for _, argv in known for key in keys_set(argv))
    return Fact(keys, ", ".join(source for source, _ in known))


def _config(host: Host, kind: Fact[str], process: Fact[Process], unit: Fact[Unit]) -> Fact[ConfigFile]:
    if kind.value == "podman":
        return Fact(None, "Podman reads no daemon.json")
    if kind.value == "remote":
        return Fact(None, "daemon.json", unknown="the daemon is on another host")
    path = _config_path(host, kind.value, process.value, unit.value)
    return fact(host.read(path), lambda text: parse_config(path, text))


def _config_path(host: Host, kind: Optional[str], process: Optional[Process], unit: Optional[Unit]) -> str:
    """What the command line says, else what dockerd has built in for its kind (docs.docker.com/engine/daemon)."""
    given = values(process.argv, "config-file") if process else []
    if process and given:
        return posixpath.join(host.link("/proc/%d/cwd" % process.pid).text, given[-1])
    given = values(unit.argv, "config-file") if unit else []
    if given:
        return given[-1]
    if kind == "rootless":
        home = _variable(host, process, "HOME")
        return (_variable(host, process, "XDG_CONFIG_HOME") or home + "/.config") + "/docker/daemon.json"
    if kind == "desktop":
        return host.env("HOME").text + "/.docker/daemon.json"
    is_snap = kind == "snap" or (unit is not None and unit.name.startswith("snap."))
    return "/var/snap/docker/current/config/daemon.json" if is_snap else "/etc/docker/daemon.json"


def _variable(host: Host, process: Optional[Process], name: str) -> str:
    """The daemon's own variable where it can be read: root may look at a user's daemon. Else ours."""
    environ = host.read("/proc/%d/environ" % process.pid) if process else None
    return (parse_environ(environ.text, name) or "") if environ and environ.ok else host.env(name).text


def _runtime_file(host: Host, daemon: Fact[Daemon], process: Fact[Process]) -> Fact[str]:
    runtimes: Mapping[str, Optional[str]] = daemon.value.runtimes if daemon.value else {}
    if RUNTIME not in runtimes:
        return Fact(None, daemon.source, daemon.unknown)
    path = runtimes[RUNTIME]
    if path is None:
        return Fact(None, daemon.source, unknown="the daemon names no program for the runtime %s" % RUNTIME)
    if "/" in path:
        return Fact(path if _executable(host, path) else None, path)
    return _on_path(host, path, process)


def _on_path(host: Host, name: str, process: Fact[Process]) -> Fact[str]:
    """A program as dockerd finds it: on its PATH, not on that of this shell."""
    if process.value is None:
        return Fact(None, name, unknown=process.unknown)
    if process.value.path is None:
        return Fact(None, name, unknown="the PATH of dockerd (process %d) cannot be read" % process.value.pid)
    candidates = [posixpath.join(folder, name) for folder in process.value.path.split(":") if folder]
    found = next((path for path in candidates if _executable(host, path)), None)
    return Fact(found, found or "%s on dockerd's PATH %s" % (name, process.value.path))


def _executable(host: Host, path: str) -> bool:
    seen = json.loads(host.stat(path).text or "{}")
    return seen.get("type") == "file" and bool(seen["mode"] & 0o111)
