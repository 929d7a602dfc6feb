"""What upgrades packages here by itself, and which packages of the driver it leaves as they are."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Callable, Dict, List, Mapping, Sequence, Tuple

from gpuctl.facts.machine.system import probe_package_manager
from gpuctl.facts.packages.logs import DRIVER, subject_of
from gpuctl.facts.packages.packages import DPKG_INSTALLED, LOCKS, RPM_INSTALLED, parse_installed, parse_policy
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome, fact
from gpuctl.model import Fact
from gpuctl.regex import regex

GLOBS = ("nvidia-*", "libnvidia-*", "cuda-drivers*", "linux-modules-nvidia-*", "kmod-nvidia*", "xorg-x11-drv-nvidia*")
DPKG = (*DPKG_INSTALLED, *GLOBS)
RPM = ("rpm", "-qa", *RPM_INSTALLED, *GLOBS)
APT_CONFIG = ("apt-config", "dump", "APT::Periodic", "Unattended-Upgrade")
UNATTENDED = "unattended-upgrade"
NVIDIAS = "developer.download.nvidia.com"
"""Packages of this repository are upgraded by unattended-upgrades only where it is told to: its README.md."""
TIMERS = {
    "apt-daily-upgrade.timer": "unattended-upgrades",
    "dnf-automatic.timer": "dnf-automatic",
    "dnf-automatic-install.timer": "dnf-automatic-install",
    "dnf5-automatic.timer": "dnf-automatic",
    "os-update.timer": "os-update",
}
"""systemd's timers, and what each starts. transactional-update changes nothing before the next boot."""
SHOW_TIMERS = ("systemctl", "show", *TIMERS, "--property=Id,ActiveState")
DNF_CONFIGS = ("/etc/dnf/dnf.conf", "/etc/yum.conf")
DNF_AUTOMATIC = "/etc/dnf/automatic.conf"
_APT_LINE = regex(r'^(\S+?)(?:::)? "(.*)";$', re.MULTILINE)
_SETTING = regex(r"^[ \t]*(\w+)[ \t]*=(.*)$", re.MULTILINE)
_ON = ("yes", "true", "1", "on")


@dataclass(frozen=True)
class DriverPackage:
    """`kept` says why it stays as it is: "hold", or the pattern that names it; "" where nothing keeps it."""

    name: str
    version: str
    kept: str


@dataclass(frozen=True)
class AutomaticUpgrades:
    """`by` is what upgrades packages without being asked; absent where nothing does."""

    by: Fact[str]
    packages: Fact[Tuple[DriverPackage, ...]]
    """The driver's, as far as that upgrades them."""


def probe_automatic_upgrades(host: Host) -> AutomaticUpgrades:
    """Returns what apt, dnf or zypper is told to do by itself."""
    manager = probe_package_manager(host).value
    timers = parse_timers(host.run(SHOW_TIMERS).text)
    if manager == "apt":
        return _by_apt(host, timers)
    if manager and manager in LOCKS:
        return AutomaticUpgrades(_by_timer(host, timers), _rpms(host, manager))
    return AutomaticUpgrades(Fact(None, "package manager"), Fact(None, "package manager"))


def parse_timers(text: str) -> Mapping[str, str]:
    """Returns the state of each timer that `systemctl show` tells of.

    Id=apt-daily-upgrade.timer
    ActiveState=active
    """
    blocks = (dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n"))
    return {block.get("Id", ""): block.get("ActiveState", "") for block in blocks}


def _by_apt(host: Host, timers: Mapping[str, str]) -> AutomaticUpgrades:
    timer = timers.get("apt-daily-upgrade.timer", "active")  # without systemd, cron does it: /etc/cron.daily
    if timer != "active" or not host.which(UNATTENDED).ok:
        return AutomaticUpgrades(Fact(None, UNATTENDED), Fact((), UNATTENDED))
    said = host.run(APT_CONFIG)
    settings = parse_apt_config(said.text)
    if said.outcome is not Outcome.OK or settings.get("APT::Periodic::Unattended-Upgrade", ["0"])[-1] in ("", "0"):
        by: Fact[str] = fact(said, lambda _: None)
        return AutomaticUpgrades(by, Fact((), said.source))
    kept = settings.get("Unattended-Upgrade::Package-Blacklist", [])
    found = _packages(host, DPKG, lambda name: next((one for one in kept if keeps(one, name)), ""))
    packages = found.value or ()
    if packages and not _reaches(host, packages[0].name, settings):
        found = Fact((), "apt-cache policy " + packages[0].name)
    return AutomaticUpgrades(Fact("unattended-upgrades", said.source), found)


def parse_apt_config(text: str) -> Mapping[str, List[str]]:
    """Returns the values of each setting that `apt-config dump` prints, in their order.

    APT::Periodic::Unattended-Upgrade "1";
    Unattended-Upgrade::Package-Blacklist "";
    Unattended-Upgrade::Package-Blacklist:: "nvidia-";
    """
    found: Dict[str, List[str]] = {}
    for name, value in _APT_LINE.findall(text):
        if value:
            found.setdefault(name, []).append(value)
    return found


def keeps(pattern: str, name: str) -> bool:
    """Returns whether unattended-upgrades' blacklist keeps a package: regular expressions, met at a name's beginning.

    Of each only the letters before its first sign count: a pattern that somebody recorded is not run.

    nvidia-
    ^libnvidia-.*-535$
    .*nvidia.*
    """
    signs = pattern.lstrip("^")
    literal = re.match(r"[\w+-]*", signs.lstrip(".*"))
    letters = literal.group() if literal else ""
    return bool(letters) and (letters in name if signs.startswith(".*") else name.startswith(letters))


def _reaches(host: Host, name: str, settings: Mapping[str, List[str]]) -> bool:
    """Whether unattended-upgrades takes this package from where it comes: the distribution's, by its usual origins."""
    policy = fact(host.run(("apt-cache", "policy", name)), parse_policy).value
    places = [place for offer in policy.offers for place in offer.places if "://" in place] if policy else []
    if not places or not all(NVIDIAS in place for place in places):
        return True
    origins = [*_values(settings, "Allowed-Origins"), *_values(settings, "Origins-Pattern")]
    return any("nvidia" in origin.lower() or origin in ("*:*", "origin=*", "o=*", "site=*") for origin in origins)


def _values(settings: Mapping[str, List[str]], name: str) -> List[str]:
    return list(settings.get("Unattended-Upgrade::" + name, []))


def _by_timer(host: Host, timers: Mapping[str, str]) -> Fact[str]:
    """dnf-automatic only looks where it is not told to apply; NVIDIA marks no update as one of security."""
    active = [unit for unit in TIMERS if timers.get(unit) == "active"]
    told = parse_settings(host.read(DNF_AUTOMATIC).text)
    applies = told.get("apply_updates", "no").lower() in _ON and told.get("upgrade_type") != "security"
    acting = [unit for unit in active if applies or TIMERS[unit] != "dnf-automatic"]
    return Fact(TIMERS[acting[0]] if acting else None, "systemctl show")


def parse_settings(text: str) -> Mapping[str, str]:
    """Returns the settings of a file of dnf's, whatever their section.

    [commands]
    apply_updates = yes
    """
    return {name: value.strip() for name, value in _SETTING.findall(text)}


def _rpms(host: Host, manager: str) -> Fact[Tuple[DriverPackage, ...]]:
    locks = "\n".join(host.read(path).text for path in LOCKS[manager])
    globs = re.findall(r"^[ \t]*solvable_name:[ \t]*(\S+)", locks, re.MULTILINE)
    for path in DNF_CONFIGS if manager != "zypper" else ():
        told = parse_settings(host.read(path).text)
        globs += re.split(r"[,\s]+", "%s %s" % (told.get("exclude", ""), told.get("excludepkgs", "")))
    return _packages(host, RPM, lambda name: next((one for one in globs if one and fnmatchcase(name, one)), ""), locks)


def _packages(
    host: Host, query: Sequence[str], kept: Callable[[str], str], locks: str = ""
) -> Fact[Tuple[DriverPackage, ...]]:
    """The driver's packages that are installed. The query's exit status only says that some glob has none."""
    said = host.run(query)
    if said.outcome is not Outcome.OK:
        return fact(said, lambda _: ())
    found = parse_installed(said.text, locks).items()
    ours = [(name, one) for name, one in found if one.version and subject_of(name) == DRIVER]
    packages = (DriverPackage(name, one.version, "hold" if one.held else kept(name)) for name, one in ours)
    return Fact(tuple(packages), "%s -W" % query[0] if query is DPKG else "rpm -qa")
