"""When the driver, the kernel, the engines and the toolkit changed, and by what: the package managers' own logs."""

from __future__ import annotations

from typing import Callable, Optional, Sequence, Tuple

from gpuctl.facts.machine.system import probe_package_manager
from gpuctl.facts.packages.logs import (
    PackageEvent,
    parse_apt,
    parse_dnf,
    parse_dnf_commands,
    parse_dpkg,
    parse_rpm_dates,
    parse_zypp,
    with_commands,
)
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome, fact
from gpuctl.model import Fact

APT_LOGS = ("/var/log/apt/history.log.1.gz", "/var/log/apt/history.log")
"""The month before and this one: /etc/logrotate.d/apt."""
DPKG_LOGS = ("/var/log/dpkg.log.1", "/var/log/dpkg.log")
DNF_LOGS = ("/var/log/dnf.rpm.log.1", "/var/log/dnf.rpm.log")
DNF_COMMANDS = ("/var/log/dnf.log.1", "/var/log/dnf.log")
"""Read, where `dnf history` would tell more: dnf writes into its logs whenever it runs."""
ZYPP_LOGS = ("/var/log/zypp/history",)
RPM_DATES = ("rpm", "-qa", "--qf", "%{NAME}\t%{VERSION}-%{RELEASE}\t%{INSTALLTIME}\n")
LOCALTIME = "/etc/localtime"
_Events = Tuple[PackageEvent, ...]


@dataclass(frozen=True)
class PackageHistory:
    """The changes to packages of the driver, the kernel, the engines and the toolkit, oldest first."""

    changes: Fact[_Events]
    zone: Fact[str]
    """The name of the time zone in which the changes are told: the host's own, which a link names; else UTC."""

    def last(self, subject: str) -> Optional[PackageEvent]:
        """Returns the last change of a subject, None where no log tells of one.

        One transaction changes many packages: of those of the same minute, one whose both versions are known counts.
        """
        ours = [change for change in self.changes.value or () if change.subject == subject]
        of_last = [change for change in ours if change.at == ours[-1].at]
        return next((change for change in of_last if change.before and change.after), of_last[0] if of_last else None)


def probe_package_history(host: Host) -> PackageHistory:
    """Returns what the logs of this host's package manager tell."""
    changes = _changes(host)
    return PackageHistory(changes, Fact("UTC", changes.source) if changes.source == RPM_DATES[0] else _zone(host))


def _changes(host: Host) -> Fact[_Events]:
    manager = probe_package_manager(host).value
    if manager == "apt":
        return _by_apt(host)
    if manager == "zypper":
        return _read(host, ZYPP_LOGS, parse_zypp)
    if manager in ("dnf", "yum"):
        return _by_dnf(host)
    return Fact(None, "package manager")


def _zone(host: Host) -> Fact[str]:
    """What the link says that localtime(5) has; without one the zone is UTC."""
    link = host.link(LOCALTIME)
    return Fact("UTC", LOCALTIME) if link.outcome is Outcome.ABSENT else fact(link, parse_zone)


def parse_zone(target: str) -> str:
    """Returns the zone that a link names. Raises ValueError.

    /usr/share/zoneinfo/Europe/Berlin
    """
    if "zoneinfo/" not in target:
        raise ValueError("%.80r names no time zone" % target)
    return target.rpartition("zoneinfo/")[2].strip()


def _by_apt(host: Host) -> Fact[_Events]:
    """apt tells who asked; what dpkg was given by hand is in its own log alone."""
    told, dpkg = _read(host, APT_LOGS, parse_apt), _read(host, DPKG_LOGS, parse_dpkg)
    known = {_in_both(change) for change in told.value or ()}
    more = tuple(change for change in dpkg.value or () if _in_both(change) not in known)
    if not more:
        return told
    return Fact(tuple(sorted((*(told.value or ()), *more), key=lambda change: change.at)), DPKG_LOGS[-1])


def _in_both(change: PackageEvent) -> Tuple[str, str, str]:
    """What both logs have alike: dpkg's has the time of each package, apt's that of the whole."""
    return change.package, change.after, change.at[:10]


def _by_dnf(host: Host) -> Fact[_Events]:
    """dnf 4's log with its commands; of yum and dnf 5 when each package came, and no more."""
    told = _read(host, DNF_LOGS, parse_dnf)
    if told.value:
        commands = parse_dnf_commands(_text(host, DNF_COMMANDS))
        return Fact(with_commands(told.value, commands), told.source)
    dates = fact(host.run(RPM_DATES, 5.0), parse_rpm_dates)
    return Fact(dates.value, RPM_DATES[0], dates.unknown)


def _read(host: Host, paths: Sequence[str], parse: Callable[[str], _Events]) -> Fact[_Events]:
    """A log behind its forerunner, which need not be there. Of what cannot be read, the reason is that of the log."""
    log = host.read(paths[-1])
    if log.outcome not in (Outcome.OK, Outcome.ABSENT):
        return fact(log, parse)
    return Fact(parse(_text(host, paths)) or None, log.source)


def _text(host: Host, paths: Sequence[str]) -> str:
    return "\n".join(host.read(path).text for path in paths)
