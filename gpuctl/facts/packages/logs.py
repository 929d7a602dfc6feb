"""The logs of apt, dpkg, dnf, zypper and rpm: what they tell of the driver, the kernel, engines and the toolkit."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from functools import lru_cache
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from gpuctl.frozen import dataclass
from gpuctl.regex import regex

DRIVER, KERNEL, ENGINE, TOOLKIT = "driver", "kernel", "engine", "toolkit"
_SUBJECTS: Sequence[Tuple[str, str]] = (
    (TOOLKIT, r"nvidia-container-|libnvidia-container|nvidia-docker"),
    (DRIVER, r"nvidia-(?:driver|kernel|dkms|open|compute|headless|utils|gfx|current|smi|kmod)|cuda-drivers"),
    (DRIVER, r"libnvidia-|linux-(?:modules|objects|signatures)-nvidia|(?:a?kmod|xorg-x11-drv)-nvidia"),
    (KERNEL, r"linux-image-|kernel(?:-core|-default|-uek|-uek-core)?$"),
    (ENGINE, r"(?:docker\.io|docker-ce|docker|moby-engine|containerd|containerd\.io|podman|cri-o)$"),
)
"""What a package belongs to, by how its name begins; the first that fits counts."""
_VERBS = (
    *("install", "in", "upgrade", "up", "update", "dup", "dist-upgrade", "full-upgrade", "distro-sync", "patch"),
    *("downgrade", "reinstall", "remove", "rm", "erase", "purge", "autoremove"),
)
"""What package managers are told to do."""
_APT_ITEM = regex(r"(?:^|, )([^\s:,()]{1,200})(?::[^\s()]{1,50})? \(([^()]{0,300})\)")
_APT_ACTIONS = {
    "Install": "installed",
    "Upgrade": "upgraded",
    "Downgrade": "downgraded",
    "Remove": "removed",
    "Purge": "removed",
}
_DPKG_LINE = regex(r"\n(.{16}):\d\d (install|upgrade|remove) ([^\s:]+)(?::\S+)? (\S+) (\S+)$", re.MULTILINE)
"""With the end of the line before, which is found in half the time. Most lines tell of steps on the way."""
_MINUTE = regex(r"\d{4}-\d\d-\d\d \d\d:\d\d")
_DPKG_ACTIONS = {"install": "installed", "upgrade": "upgraded", "remove": "removed"}
_DNF_LINE = regex(
    r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\S+ \S+ (Installed|Upgraded?|Downgraded?|Erase): "
    r"(\S+)-([^-\s]+-[^-\s]+)\.[^.\s]+$",
    re.MULTILINE,
)
_DNF_ACTIONS = {"Installed": "installed", "Upgrade": "upgraded", "Downgrade": "downgraded", "Erase": "removed"}
_DNF_COMMAND = regex(
    r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\S+ \S+ (?:Command: (.+)|[^:\n]{0,200}dnf-automatic[^:\n]{0,200})$", re.MULTILINE
)
"""The latter in any language, which no line but that of the beginning has without a colon."""
_RPM_ROW = regex(r"^([^\t\n]+)\t([^\t\n]+)\t([0-9]{1,11})$", re.MULTILINE)
_EPOCH = regex(r"^\d+:")


@dataclass(frozen=True)
class PackageEvent:
    """One change of one package. `at` is in the host's own time, "2026-11-20 06:12".

    `subject` is driver, kernel, engine or toolkit; `action` installed, upgraded, downgraded or removed. `before` and
    `after` are the package's versions without epoch, "" for none and for unknown. `by` is the program with what it was
    told to do ("apt-get upgrade"), and `user` who asked for it; "" where no log tells.
    """

    at: str
    subject: str
    package: str
    action: str
    before: str = ""
    after: str = ""
    by: str = ""
    user: str = ""


@lru_cache(maxsize=None)  # a log names the same packages again and again
def subject_of(package: str) -> Optional[str]:
    """Returns what a package belongs to: driver, kernel, engine or toolkit; None for all others."""
    return next((subject for subject, names in _SUBJECTS if re.match(names, package)), None)


def parse_apt(text: str) -> Tuple[PackageEvent, ...]:
    """Returns the changes in apt's history.log.

    Start-Date: 2026-11-20  06:12:44
    Commandline: /usr/bin/unattended-upgrade
    Requested-By: ada (1000)
    Install: linux-image-6.8.0-49-generic:amd64 (6.8.0-49.49, automatic)
    Upgrade: nvidia-driver-535:amd64 (535.183.01-0ubuntu1, 535.216.01-0ubuntu1)
    End-Date: 2026-11-20  06:14:02
    """
    return tuple(change for block in text.split("\n\n") if block.strip() for change in _apt_block(block))


def _apt_block(block: str) -> Iterator[PackageEvent]:
    fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
    at = " ".join(fields.get("Start-Date", "").split())[:16]
    by, user = command(fields.get("Commandline", "")), fields.get("Requested-By", "").partition(" ")[0]
    for name, action in _APT_ACTIONS.items():
        for package, versions in _APT_ITEM.findall(fields.get(name, "")):
            subject = subject_of(package)
            if subject and at:
                before, after = _apt_versions(action, versions)
                yield PackageEvent(at, subject, package, action, before, after, by, user)


def _apt_versions(action: str, versions: str) -> Tuple[str, str]:
    """Before and after: what is upgraded has both in the brackets; the word "automatic" is none."""
    told = [_without_epoch(one) for one in versions.split(", ") if one != "automatic"]
    if action in ("upgraded", "downgraded"):
        return (told[0], told[-1])
    return ("", told[0]) if action == "installed" else (told[0], "")


def command(line: str) -> str:
    """Returns a command line as the program's name and what it was told to do: its options may hold secrets.

    /usr/bin/unattended-upgrade
    apt-get -o DPkg::Lock::Timeout=60 install -y cuda-drivers
    """
    words = [word.strip("'") for word in line.split()]
    program = words[0].rpartition("/")[2] if words else ""
    verb = next((word for word in words[1:] if word in _VERBS), "")
    return " ".join(filter(None, (program, verb)))


def parse_dpkg(text: str) -> Tuple[PackageEvent, ...]:
    """Returns the changes in dpkg.log.

    2026-11-20 06:12:50 upgrade nvidia-driver-535:amd64 535.183.01-0ubuntu1 535.216.01-0ubuntu1
    2026-11-20 06:12:51 install linux-image-6.8.0-49-generic:amd64 <none> 6.8.0-49.49
    """
    return tuple(
        PackageEvent(at, subject, package, _DPKG_ACTIONS[action], _without_epoch(before), _without_epoch(after), "dpkg")
        for at, action, package, before, after in _DPKG_LINE.findall("\n" + text)
        if (subject := subject_of(package)) and _MINUTE.fullmatch(at)
    )


def _without_epoch(version: str) -> str:
    return "" if version == "<none>" else _EPOCH.sub("", version)


def parse_dnf(text: str) -> Tuple[PackageEvent, ...]:
    """Returns the changes in dnf.rpm.log, where "Upgraded:" tells the version before.

    2026-11-20T06:12:44+0000 SUBDEBUG Upgrade: nvidia-driver-3:535.216.01-1.el9.x86_64
    2026-11-20T06:12:49+0000 SUBDEBUG Upgraded: nvidia-driver-3:535.183.01-1.el9.x86_64
    """
    found: List[PackageEvent] = []
    places: Dict[str, int] = {}
    for day, minute, word, package, version in _DNF_LINE.findall(text):
        subject, version = subject_of(package), _without_epoch(version)
        if word in ("Upgraded", "Downgraded") and package in places:
            found[places[package]] = replace(found[places[package]], before=version)
        elif subject and word in _DNF_ACTIONS:
            places[package] = len(found)
            versions = (version, "") if word == "Erase" else ("", version)
            found.append(PackageEvent("%s %s" % (day, minute), subject, package, _DNF_ACTIONS[word], *versions))
    return tuple(found)


def parse_dnf_commands(text: str) -> Mapping[str, str]:
    """Returns what may have changed packages, of dnf.log, by the minute in which each began.

    2026-11-20T06:12:40+0000 DDEBUG Command: dnf -y upgrade
    2026-11-20T06:12:40+0000 DEBUG Started dnf-automatic.
    """
    begun = (
        ("%s %s" % (day, minute), command(line) if line else "dnf-automatic")
        for day, minute, line in _DNF_COMMAND.findall(text)
    )
    return {at: told for at, told in begun if " " in told or told == "dnf-automatic"}


def with_commands(changes: Sequence[PackageEvent], commands: Mapping[str, str]) -> Tuple[PackageEvent, ...]:
    """Returns the changes, each with the command that had begun last before it on its day."""
    return tuple(replace(change, by=_begun_before(change.at, commands)) for change in changes)


def _begun_before(at: str, commands: Mapping[str, str]) -> str:
    begun = [one for one in commands if one[:10] == at[:10] and one <= at]
    return commands[max(begun)] if begun else ""


def parse_zypp(text: str) -> Tuple[PackageEvent, ...]:
    """Returns the changes in libzypp's history. Source: https://opensuse.github.io/libzypp/group__g__ZyppHistory.html

    2026-11-20 06:12:40|command|root@gpu1|'zypper' '-n' 'up'|
    2026-11-20 06:12:44|install|nvidia-driver-G06|535.216.01-1|x86_64||repo|4421dfa718ab|
    2026-11-20 06:14:00|remove |nvidia-driver-G06|535.216.01-1|x86_64|root@gpu1|
    """
    found: List[PackageEvent] = []
    versions: Dict[str, str] = {}
    by = user = ""
    for line in filter(None, text.splitlines()):
        at, kind, name, version = ([field.strip() for field in line.split("|")] + [""] * 4)[:4]
        if kind == "command":
            by, user = command(version), name.partition("@")[0]
        subject = subject_of(name) if kind in ("install", "remove") else None
        if subject:
            before, after = versions.get(name, ""), _without_epoch(version) if kind == "install" else ""
            versions[name] = after
            action = "removed" if kind == "remove" else "upgraded" if before else "installed"
            found.append(PackageEvent(at[:16], subject, name, action, before, after, by, user))
    return tuple(found)


def parse_rpm_dates(text: str) -> Tuple[PackageEvent, ...]:
    """Returns when each package that is there was installed, in UTC, of lines with tabs between the fields.

    nvidia-driver<TAB>535.216.01-1.el9<TAB>1795155164
    """
    rows = sorted(_RPM_ROW.findall(text), key=lambda row: int(row[2]))
    return tuple(
        PackageEvent(
            time.strftime("%Y-%m-%d %H:%M", time.gmtime(int(at))), subject, package, "installed", after=version
        )
        for package, version, at in rows
        if (subject := subject_of(package))
    )
