"""The CRI-O that runs here: told of its files by a reload or a restart, and asked over its socket what it goes by."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Callable
from dataclasses import dataclass

from gpuctl.compat.versions import docker_version
from gpuctl.engines.crio import settings
from gpuctl.facts.crio import CrioConfig, CrioProcess, ask
from gpuctl.host.files import behind_links
from gpuctl.host.process import ProcessProblem, hang_up, systemctl
from gpuctl.host.reading import Host, failure
from gpuctl.model import CannotTell, Disturbs, Step
from gpuctl.provision.setup import Contents, DaemonProblem, NotUp

RELOADS_SINCE = "1.26.0"
"""From here on a reload takes up `runtimes` and `default_runtime` (https://github.com/cri-o/cri-o/pull/6056). Late 1.25
releases do too (pull request 6270); a restart is right for them as well."""
SYSTEMD_DEADLINE = 90.0
ANSWER_DEADLINE = 3.0
_PAUSE = 0.1


@dataclass(frozen=True)
class CrioDaemon:
    """A running CRI-O. `unit` is the systemd unit through which it is told, None where it is told by a signal."""

    host: Host
    process: CrioProcess
    socket: str
    unit: str | None
    version: str
    folder: str
    """Every file of it counts."""

    def reads(self, path: str) -> bool:
        return posixpath.dirname(path) == behind_links(self.folder)

    @property
    def reloading(self) -> Step | None:
        if _is_before(self.version, RELOADS_SINCE):
            return None
        how = f"systemctl reload {self.unit}" if self.unit else f"SIGHUP to process {self.process.pid}"
        return Step(f"reload CRI-O ({how}) and ask it until it goes by its files", Disturbs.NOTHING)

    @property
    def restarting(self) -> Step | None:
        if self.unit is None:
            return None
        text = f"restart CRI-O (systemctl restart {self.unit}), which stops 0 running containers: conmon keeps them"
        return Step(text, Disturbs.NEW_CONTAINERS)

    def difference(self, contents: Contents) -> str:
        try:
            has = ask(self.host, self.socket, ANSWER_DEADLINE).get()
        except CannotTell as reason:
            return f"CRI-O does not answer: {reason}"
        if has is None:
            return "CRI-O does not answer: its socket is gone"
        return next(filter(None, (_difference(settings(raw), has) for raw in contents.values())), "")

    def reload(self, contents: Contents, deadline: float) -> None:
        if self.unit:
            self._tell("reload", self.unit)
        else:
            try:
                hang_up(self.process.pid, self.process.argv)
            except ProcessProblem as problem:
                raise DaemonProblem(str(problem)) from None
        _wait(lambda: self.difference(contents), deadline)

    def restart(self, contents: Contents, deadline: float) -> None:
        try:
            self._tell("restart", self.unit or "")
            _wait(lambda: self.difference(contents), deadline)
        except DaemonProblem as problem:
            raise NotUp(str(problem)) from None

    def keeps(self, before: Contents, now: Contents) -> str:
        return ""  # a reload puts the whole table of runtimes in the place of the old one

    def _tell(self, verb: str, unit: str) -> None:
        done = systemctl(verb, unit, SYSTEMD_DEADLINE)
        if not done.ok:
            raise DaemonProblem(f"`{done.source}` failed: {failure(done)}.")


def _difference(wanted: CrioConfig, has: CrioConfig) -> str:
    for name, entry in wanted.runtimes.items():
        if name not in has.runtimes:
            return f"CRI-O does not list the runtime {name}"
        path = entry.get("runtime_path")
        if path and has.runtimes[name].get("runtime_path") != path:
            return f"CRI-O lists the runtime {name} as {has.runtimes[name].get('runtime_path')}, not {path}"
    if wanted.default_runtime and has.default_runtime != wanted.default_runtime:
        return f"CRI-O's default runtime is {has.default_runtime}, not {wanted.default_runtime}"
    return ""


def _wait(difference: Callable[[], str], deadline: float) -> None:
    """Returns once there is no difference. Raises DaemonProblem with the last one after `deadline` seconds."""
    end = time.monotonic() + deadline
    while problem := difference():
        if time.monotonic() >= end:
            raise DaemonProblem(f"{problem}, {deadline:g} s after it was told.")
        time.sleep(_PAUSE)


def _is_before(version: str, other: str) -> bool:
    try:
        return docker_version(version) < docker_version(other)
    except ValueError:  # a build of somebody's own: its answer will tell
        return False
