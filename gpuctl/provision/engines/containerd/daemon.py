"""The containerd that runs: what a restart of it does to containers, and whether it has what its files say."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from gpuctl.engines.containerd import CriSettings
from gpuctl.engines.toml.text import NotAccepted
from gpuctl.facts.containerd.containerd import Containerd, Cri, Unit
from gpuctl.facts.containerd.daemon import ask_cri
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host
from gpuctl.host.write.files import behind_links
from gpuctl.model import Disturbs, Step
from gpuctl.provision.change_set import Contents, DaemonProblem, Kept, NotUp
from gpuctl.provision.engines.daemons import Runtimes, difference, not_taken_up, restarted, wait

_SERVERS = ("k3s.service", "rke2-server.service")


@dataclass(frozen=True)
class Running:
    """A running containerd: a Daemon. `says` turns contents of files into what they say of runtimes."""

    host: Host
    containerd: Containerd
    says: Callable[[Contents], CriSettings]
    reloading: Step | None = None
    """containerd reads its files only when it starts (containerd(8) knows no signal for it)."""

    def reads(self, path: str) -> bool:
        """Returns whether the file is one of its own, or in a folder of them."""
        files = (self.containerd.config.value or "", *(self.containerd.files.value or ()))
        return posixpath.dirname(path) in {posixpath.dirname(behind_links(file)) for file in files}

    def keeps(self, before: Contents, now: Contents) -> Kept:
        """Returns what it took from the files when it started that they do not say any more, and what they say now."""
        cri = ask_cri(self.host, self.containerd.endpoint).value
        try:
            old, new = self.says(before), self.says(now)
        except NotAccepted:
            return Kept("")
        if cri is None:
            return Kept("")
        gone = old.runtimes.keys() - new.runtimes.keys() - {"runc"}  # which it has by itself
        stays = [f"the runtime {name}" for name in sorted(gone & cri.runtimes.keys())]
        if old.default not in ("", new.default) and cri.default == old.default:
            stays.append(f"the default runtime {old.default}")
        if stays:
            return Kept(" and ".join(stays))
        lacks = not_taken_up(Runtimes(old.runtimes, old.default), Runtimes(new.runtimes, new.default), _taken(cri))
        return Kept("", lacks=" and ".join(lacks))

    @property
    def unit(self) -> str | None:
        """The unit that runs it."""
        unit = self.containerd.unit.value
        return unit.name if unit and unit.active else None

    @property
    def restarting(self) -> Step | None:
        """The restart of its unit; None where systemd does not run it."""
        unit = self.containerd.unit.value
        return _restarting(self.containerd, unit) if unit and unit.active else None

    def difference(self, contents: Contents) -> str:
        """Returns in which way the daemon differs from what the files say, asked over its socket.

        What CRI has is what it took when it started: this proves the registration, whatever the files say by now.
        """
        try:
            wanted = self.says(contents)
        except NotAccepted as error:
            return f"what the files say is not understood: {error}"
        cri = ask_cri(self.host, self.containerd.endpoint)
        if cri.unknown:
            return f"containerd does not answer: {cri.unknown}"
        if cri.value is None:
            return "" if wanted.disabled else "containerd runs without CRI, its plugin for Kubernetes"
        return _difference(wanted, cri.value)

    def reload(self, contents: Contents, deadline: float) -> None:
        """Raises DaemonProblem: containerd does not reload."""
        raise DaemonProblem("containerd reads its files only when it starts")

    def restart(self, contents: Contents, deadline: float) -> None:
        """Restarts the unit, and returns once the daemon has what the files say. Raises NotUp; in seconds."""
        unit = self.containerd.unit.value
        if unit is None:
            raise NotUp("systemd does not run this containerd")
        with restarted(unit.name):
            wait(lambda left: self.difference(contents), deadline, since="its restart")


def _taken(has: Cri) -> Runtimes:
    # "" is runc, whose program containerd does not tell either.
    return Runtimes({name: program or None for name, program in has.runtimes.items()}, has.default)


def _difference(wanted: CriSettings, has: Cri) -> str:
    lacks = difference("containerd", Runtimes(wanted.runtimes, wanted.default), _taken(has))
    return lacks or ("containerd has CDI off" if wanted.cdi and has.cdi is False else "")


def _restarting(containerd: Containerd, unit: Unit) -> Step:
    """systemd's KillMode decides what becomes of containers; what else it restarts may stop some of its own."""
    running = (
        "containers" if containerd.running.value is None else f"{len(containerd.running.value)} running containers"
    )
    title = containerd.title
    server = ", this node's part of the control plane included" if unit.name in _SERVERS else ""
    also = f", and with it {' and '.join(unit.takes_along)}, which may stop its own" if unit.takes_along else ""
    fate = f"{running} live on, none can be started or stopped meanwhile" if unit.spares else f"which stops {running}"
    disturbs = Disturbs.NEW_CONTAINERS if unit.spares and not unit.takes_along else Disturbs.RUNNING_CONTAINERS
    return Step(f"restart {title} (systemctl restart {unit.name}){server}{also}: {fate}", disturbs)
