"""The CRI-O that runs here: told of its files by a reload or a restart, and asked over its socket what it goes by."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from gpuctl.compat.versions import docker_version
from gpuctl.engines.crio import settings
from gpuctl.facts.crio import CrioConfig, CrioProcess, ask
from gpuctl.host.look.reading import Host
from gpuctl.host.write.files import behind_links
from gpuctl.model import CannotTell, Disturbs, Step
from gpuctl.provision.engines.daemons import Runtimes, difference, restarted, tell, tell_process, wait
from gpuctl.provision.setup import Contents

RELOADS_SINCE = "1.26.0"
"""From here on a reload takes up `runtimes` and `default_runtime` (https://github.com/cri-o/cri-o/pull/6056). Late 1.25
releases do too (pull request 6270); a restart is right for them as well."""
ANSWER_DEADLINE = 3.0


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
        wanted = map(settings, contents.values())
        return next(filter(None, (difference("CRI-O", _runtimes(one), _runtimes(has)) for one in wanted)), "")

    def reload(self, contents: Contents, deadline: float) -> None:
        if self.unit:
            tell("reload", self.unit)
        else:
            tell_process(self.process.pid, self.process.argv)
        wait(lambda left: self.difference(contents), deadline)

    def restart(self, contents: Contents, deadline: float) -> None:
        with restarted(self.unit or ""):
            wait(lambda left: self.difference(contents), deadline)

    def keeps(self, before: Contents, now: Contents) -> str:
        return ""  # a reload puts the whole table of runtimes in the place of the old one


def _runtimes(config: CrioConfig) -> Runtimes:
    programs = {name: entry.get("runtime_path", "") for name, entry in config.runtimes.items()}
    return Runtimes(programs, config.default_runtime)


def _is_before(version: str, other: str) -> bool:
    try:
        return docker_version(version) < docker_version(other)
    except ValueError:  # a build of somebody's own: its answer will tell
        return False
