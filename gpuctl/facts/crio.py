"""CRI-O: its program, process and unit, what its files say of runtimes, and what the daemon goes by.

Files: crio.conf(5) and crio.conf.d(5) of https://github.com/cri-o/cri-o, docs/. Of the drop-in directory every file
counts, whatever its name, and those of directories in it (pkg/config/config.go, UpdateFromPath).
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from typing import Any, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from gpuctl.documents import load_toml
from gpuctl.facts.machine.processes import parse_cmdline, parse_start
from gpuctl.facts.machine.systemd import BOOTED, parse_show
from gpuctl.facts.toolkit.oci_hooks import FOLDERS, RUN_FOLDER, probe_hooks
from gpuctl.frozen import dataclass
from gpuctl.host.decode import moment, texts_in, whole
from gpuctl.host.look.reading import Host, Outcome, Reading, fact
from gpuctl.host.status import status_of
from gpuctl.host.trusted_process import distrusted_process
from gpuctl.model import Fact
from gpuctl.regex import regex

CONFIG = "/etc/crio/crio.conf"
FOLDER = "/etc/crio/crio.conf.d"
SOCKET = "/var/run/crio/crio.sock"
UNIT = "crio.service"
SHOW = ("systemctl", "show", UNIT, "--property=Id,LoadState,ActiveState,MainPID")
_VERSION = regex(r"^crio version (\S+)", re.MULTILINE)
_DEPTH = 3


@dataclass(frozen=True)
class CrioProcess:
    """The daemon. `started` in seconds since the epoch, cut to a tick."""

    pid: int
    argv: Tuple[str, ...]
    started: float


@dataclass(frozen=True)
class CrioUnit:
    """Its systemd unit. `pid` is its main process, 0 when it does not run."""

    name: str
    active: bool
    pid: int


@dataclass(frozen=True)
class CrioConfig:
    """What one file says, or the daemon of all of them. `path` is where; `default_runtime` and `listen` may be "".

    `changed` is when the file came to be as it is, in seconds since the epoch; None: that could not be looked up.
    """

    path: str
    runtimes: Mapping[str, Mapping[str, Any]]
    default_runtime: str
    listen: str
    changed: Optional[float] = None
    hooks_dir: Tuple[str, ...] = ()
    """Where it looks for OCI hooks; empty where that is not said."""


@dataclass(frozen=True)
class Crio:
    """Every way in which CRI-O may be there."""

    program: Fact[str]
    version: Fact[str]
    unit: Fact[CrioUnit]
    process: Fact[CrioProcess]
    config: Fact[str]
    """The path of its main file, whether or not there is one; absent where there is no CRI-O."""
    folder: Fact[str]
    """The directory of its drop-in files; absent where there is no CRI-O."""
    files: Fact[Tuple[CrioConfig, ...]]
    """In the order in which they are read: of two that name one thing the later counts."""
    socket: Fact[str]
    """Where the daemon listens; absent where none runs."""
    daemon: Fact[CrioConfig]
    """What it goes by now, by its own word."""
    hooks: Fact[Tuple[str, ...]]
    """The toolkit's OCI hooks that lie where it looks; absent where none does."""


def probe_crio(host: Host) -> Crio:
    """Returns CRI-O from every side."""
    program, unit = fact(host.which("crio"), str), _unit(host)
    pid = unit.value.pid if unit.value else 0
    process = _process(host, pid or fact(host.peer("unix://" + SOCKET), whole).value or 0)
    argv = process.value.argv if process.value else ()
    folder = option(argv, "--config-dir", "-d") or FOLDER
    config = option(argv, "--config", "-c") or CONFIG
    files = read_files(host, config, folder)
    said = [one.listen for one in files.value or () if one.listen]
    socket = option(argv, "--listen") or (said[-1] if said else SOCKET)
    is_there = bool(program.value or process.value or files.value)
    daemon = ask(host, socket) if process.value else Fact[CrioConfig](None, process.source, process.unknown)
    known = daemon.value or merged(files.value or ())
    return Crio(
        program=program,
        version=fact(host.run(("crio", "--version")), parse_version),
        unit=unit,
        process=process,
        config=Fact(config if is_there else None, process.source),
        folder=Fact(folder if is_there else None, process.source),
        files=files,
        socket=Fact(socket if process.value else None, process.source),
        daemon=daemon,
        hooks=probe_hooks(host, known.hooks_dir or (*FOLDERS, RUN_FOLDER))
        if process.value
        else Fact(None, process.source),
    )


def ask(host: Host, socket: str, deadline: float = 5.0) -> Fact[CrioConfig]:
    """Returns what the daemon at that socket goes by: `GET /config` answers with TOML (server/inspect.go)."""
    reading = host.get("unix://" + socket, "/config", deadline)
    return fact(reading, lambda text: parse_config(reading.source, text))


def parse_version(text: str) -> str:
    """Returns the version. Raises ValueError.

    crio version 1.28.1
    GitCommit:      eda470f4c2a7bc8c8d9a6d5b9d3b2f5a
    """
    found = _VERSION.search(text)
    if not found:
        raise ValueError(text.strip() or "no output")
    return found.group(1)


def parse_config(path: str, text: str) -> CrioConfig:
    """Returns what a file, or the daemon's answer, says. Raises ValueError.

    [crio.runtime]
    default_runtime = "crun"
    [crio.runtime.runtimes.crun]
    runtime_path = "/usr/libexec/crio/crun"
    monitor_path = "/usr/libexec/crio/conmon"
    """
    crio = _table(load_toml(text), "crio")
    runtime = _table(crio, "runtime")
    runtimes = _table(runtime, "runtimes")
    return CrioConfig(
        path=path,
        runtimes={name: _table(runtimes, name) for name in runtimes},
        default_runtime=_text(runtime, "default_runtime"),
        listen=_text(_table(crio, "api"), "listen"),
        hooks_dir=texts_in(runtime, "hooks_dir"),
    )


def merged(files: Sequence[CrioConfig]) -> CrioConfig:
    """Returns what files say together. A runtime that a later file names is that file's as a whole.

    That is what Go's TOML reader makes of a map whose values are structs.
    """
    runtimes = {name: entry for one in files for name, entry in one.runtimes.items()}
    defaults = [one.default_runtime for one in files if one.default_runtime]
    listens = [one.listen for one in files if one.listen]
    hooks = [one.hooks_dir for one in files if one.hooks_dir]
    return CrioConfig("", runtimes, (defaults or [""])[-1], (listens or [""])[-1], hooks_dir=(hooks or [()])[-1])


def in_order(files: Iterable[CrioConfig], config: str) -> List[CrioConfig]:
    """Returns the files as CRI-O reads them: the main one, then the directory's, folder by folder in lexical order."""
    return sorted(files, key=lambda one: (one.path != config, one.path.split("/")))


def option(argv: Sequence[str], *names: str) -> str:
    """Returns an option's value on a command line, "" where it is not given.

    crio --config-dir=/srv/crio.conf.d -c /srv/crio.conf
    """
    return next(options(argv, *names), "")


def options(argv: Sequence[str], *names: str) -> Iterator[str]:
    """Yields each value that an option has on a command line."""
    for word, following in zip(argv[1:], [*argv[2:], ""]):
        name, equals, value = word.partition("=")
        if name in names:
            yield value if equals else following


def _unit(host: Host) -> Fact[CrioUnit]:
    if host.stat(BOOTED).outcome is Outcome.ABSENT:
        return Fact(None, BOOTED)
    shown = host.run(SHOW)
    short = Reading("systemctl show " + UNIT, shown.outcome, shown.text, shown.code, shown.detail)
    return fact(short, parse_unit)


def parse_unit(text: str) -> Optional[CrioUnit]:
    """Returns the unit, None where there is none.

    Id=crio.service
    LoadState=loaded
    ActiveState=active
    MainPID=712
    """
    found = [
        CrioUnit(unit["Id"][0], unit.get("ActiveState") == ["active"], whole(unit.get("MainPID", ["0"])[0]))
        for unit in parse_show(text)
    ]
    return found[0] if found else None


def _process(host: Host, pid: int) -> Fact[CrioProcess]:
    folder = "/proc/%d" % pid
    doubt = distrusted_process(host, pid) if pid else None
    if not pid or doubt:
        return Fact(None, "/proc", unknown=doubt)
    booted = fact(host.env("booted"), moment)
    argv = parse_cmdline(host.read(folder + "/cmdline").text)
    found = fact(
        host.read(folder + "/stat"), lambda text: CrioProcess(pid, argv, (booted.value or 0) + parse_start(text))
    )
    return Fact(found.value, folder + "/cmdline", found.unknown)


def read_files(host: Host, config: str, folder: str) -> Fact[Tuple[CrioConfig, ...]]:
    """Returns what its files say, in the order in which it reads them; absent where there are none.

    Unknown where one of its directory cannot be read, as a link to a directory, or to nothing: CRI-O refuses them all
    then (seen on 1.36.3).
    """
    found: List[CrioConfig] = []
    for path in (config, *_below(host, folder, _DEPTH)):
        reading = host.read(path)
        if reading.outcome is Outcome.ABSENT and path != config:
            return Fact(None, path, "it is a link to what is not there")
        one = fact(reading, lambda text, path=path: parse_config(path, text))  # type: ignore[misc]
        if one.unknown is not None:
            return Fact(None, path, one.unknown)
        seen = status_of(host.stat(path))
        found += [replace(one.value, changed=seen.ctime if seen else None)] if one.value else []
    return Fact(tuple(found) or None, "%s, %s" % (config, folder))


def _below(host: Host, folder: str, depth: int) -> Iterator[str]:
    for name in host.list(folder).text.splitlines():
        path = posixpath.join(folder, name)
        seen = status_of(host.stat(path))
        if seen is None or seen.kind != "dir" or host.link(path).ok:
            yield path
        elif depth:
            yield from _below(host, path, depth - 1)


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key, {})
    if not isinstance(found, dict):
        raise ValueError("%s is not a table" % key)
    return found


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key, "")
    if not isinstance(found, str):
        raise ValueError("%s is not a string" % key)
    return found
