"""Docker: which kind of it is there, what its daemon says of itself, how it was started, what its file says."""

from __future__ import annotations

import posixpath
import re
import stat
from typing import Any, FrozenSet, Mapping, Optional, Sequence, Tuple

from gpuctl.facts.docker.daemon import Daemon, Found, State, absent, probe_daemon
from gpuctl.facts.docker.daemon_json import ConfigFile, parse_config
from gpuctl.facts.docker.endpoint import Endpoint, is_users, probe_endpoint, users_sockets
from gpuctl.facts.docker.flags import keys_set, values
from gpuctl.facts.docker.process import Process, probe_process
from gpuctl.facts.docker.unit import Unit, probe_unit, waiting_socket
from gpuctl.facts.machine.kind import parse_environ
from gpuctl.facts.toolkit.toolkit import CDI_HOOK, HOOK
from gpuctl.frozen import dataclass
from gpuctl.host.look.deadline import begin
from gpuctl.host.look.reading import Host, Outcome, Reading, fact
from gpuctl.host.status import status_of
from gpuctl.model import Fact
from gpuctl.regex import regex

__all__ = ["ConfigFile", "Daemon", "Docker", "Endpoint", "Process", "State", "Unit", "probe_docker"]

CLIENT = ("docker", "--version")
RUNTIME = "nvidia"
NO_DOCKERD = ("desktop", "podman")
"""Kinds whose daemon is no dockerd of this machine."""
_CLIENT_VERSION = regex(r"^(?:Docker|podman) version ([^\s,]+)", re.MULTILINE)


@dataclass(frozen=True)
class Docker:
    """Every way in which Docker may be there."""

    client: Fact[str]
    """Where the docker program is."""
    server: Fact[str]
    """Where dockerd is, which need not run."""
    state: Fact[State]
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
    config_open: Fact[str]
    """That file, or its folder, where all users may write to it."""
    runtime_file: Fact[str]
    """The program of the registered runtime nvidia, as dockerd finds it; absent when there is no such program."""
    hook_file: Fact[str]
    """nvidia-container-runtime-hook on dockerd's own PATH."""
    cdi_hook_file: Fact[str]
    """nvidia-cdi-hook there."""
    client_version: Fact[str]
    """Of the docker program, or of Podman where that plays its part. Before 19.03 it has no --gpus."""

    users: Fact[Tuple[str, ...]]
    """Where users' own daemons listen, which root looks for where none answers at the endpoint."""

    @property
    def installed(self) -> bool:
        """Whether there is a daemon at the endpoint, or here what one is started from."""
        met = self.state.value not in (State.ABSENT, State.ELSEWHERE) and self.endpoint.unknown is None
        return met or bool(self.server.value or self.unit.value or self.process.value)


def probe_docker(host: Host) -> Docker:
    """Returns Docker from every side: its client, its daemon's answers, its process, unit and file."""
    found = probe_endpoint(host)
    endpoint = found.value
    if endpoint is None or not endpoint.local:
        return _out_of_sight(host, found)
    user = is_users(host, endpoint)
    any_unit = begin(lambda: probe_unit(host, user))
    waiting = waiting_socket(host, endpoint, user)
    said = begin(lambda: _client_says(host, waiting))
    any_process = begin(lambda: probe_process(host, endpoint, connect=waiting is None))
    met = probe_daemon(host, endpoint, waiting)
    server = fact(host.which("dockerd"), str)
    kind = _or_podman(met.kind, said())
    process = _of_this_machine(any_process(), met.daemon, kind)
    unit = _of_this_daemon(any_unit(), endpoint, process, user, waiting)
    if _is_left_behind(endpoint, met, (server, unit, process)):
        met = absent(met.daemon.source)
        kind = _or_podman(met.kind, said())
    config = _config(host, kind, process, unit)
    return Docker(
        client=fact(host.which("docker"), str),
        server=server,
        state=Fact(met.state, met.daemon.source),
        kind=kind,
        endpoint=found,
        daemon=met.daemon,
        process=process,
        unit=unit,
        flags=_flags(process, unit),
        config=config,
        config_open=_open_to_all(host, config.source) if kind.value != "podman" else Fact(None, config.source),
        runtime_file=_runtime_file(host, met.daemon, process),
        hook_file=_on_path(host, HOOK, process),
        cdi_hook_file=_on_path(host, CDI_HOOK, process),
        client_version=fact(said(), parse_client_version),
        users=_users(host, endpoint, met),
    )


def _is_left_behind(endpoint: Endpoint, met: Found, startable: Sequence[Fact[Any]]) -> bool:
    """Whether there is Docker's socket alone, and nothing here that a daemon could be started from."""
    return met.state is State.STOPPED and not endpoint.chosen and not any(one.value or one.unknown for one in startable)


def _users(host: Host, endpoint: Endpoint, met: Found) -> Fact[Tuple[str, ...]]:
    is_meant = met.daemon.value is None and not endpoint.chosen and host.env("euid").text == "0"
    return users_sockets(host) if is_meant else Fact(None, endpoint.url)


def _client_says(host: Host, waiting: Optional[str]) -> Reading:
    """Up to 20.10, docker connects to the daemon even to tell its own version."""
    if waiting:
        return Reading(" ".join(CLIENT), Outcome.ERROR, detail="it would start Docker (%s)" % waiting)
    return host.run(CLIENT)


def _out_of_sight(host: Host, endpoint: Fact[Endpoint]) -> Docker:
    """Docker where nobody can tell which one is meant, or which is on another host: that one is not asked."""
    lost: Fact[Any] = Fact(None, endpoint.source, endpoint.unknown)
    state, kind = lost, lost
    if endpoint.value:
        origin = endpoint.value.origin
        lost = Fact(None, origin, "the daemon is on another host (%s)" % endpoint.value.url)
        state, kind = Fact(State.ELSEWHERE, origin), Fact("remote", origin)
    return Docker(
        client=fact(host.which("docker"), str),
        server=fact(host.which("dockerd"), str),
        state=state,
        kind=kind,
        endpoint=endpoint,
        daemon=lost,
        process=lost,
        unit=lost,
        flags=lost,
        config=lost,
        config_open=lost,
        runtime_file=lost,
        hook_file=lost,
        cdi_hook_file=lost,
        client_version=lost,
        users=Fact(None, endpoint.source),
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
    return Fact("podman", said.source) if kind.value is None and is_podmans(said) else kind


def is_podmans(said: Reading) -> bool:
    """Returns whether it is Podman that answers to CLIENT."""
    return said.text.startswith("podman version")


def _of_this_machine(process: Fact[Process], daemon: Fact[Daemon], kind: Fact[str]) -> Fact[Process]:
    if kind.value in NO_DOCKERD:
        return Fact(None, kind.source)
    if daemon.value and process.value is None and process.unknown is None:
        return Fact(None, process.source, unknown="the daemon answers, and its process cannot be seen from here")
    return process


def _of_this_daemon(
    unit: Fact[Unit], endpoint: Endpoint, process: Fact[Process], user: bool, waiting: Optional[str]
) -> Fact[Unit]:
    """A unit's main process is the daemon, but for rootless Docker's, which is the daemon's forefather.

    Where none runs, the unit is that of the socket that waits, or of Docker's own endpoint.
    """
    if unit.value is None or user:
        return unit
    if process.value:
        ours = unit.value.pid == process.value.pid
    elif waiting:
        ours = posixpath.splitext(unit.value.name)[0] == posixpath.splitext(waiting)[0]
    else:
        ours = not endpoint.chosen
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
    path = _config_path(host, kind.value, process.value, unit.value)
    return fact(host.read(path), lambda text: parse_config(path, text))


def _open_to_all(host: Host, path: str) -> Fact[str]:
    for place in (path, posixpath.dirname(path)):
        seen = status_of(host.stat(place))
        if seen and seen.mode & stat.S_IWOTH:
            return Fact(place, place)
    return Fact(None, path)


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
    program = host.which(path)
    if program.outcome is Outcome.ERROR:
        return Fact(None, path, unknown=program.detail)
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
    seen = status_of(host.stat(path))
    return seen is not None and seen.kind == "file" and bool(seen.mode & 0o111)
