"""The packages of the NVIDIA Container Toolkit: what is installed, and what stands in the way of installing it."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from fnmatch import fnmatchcase
from typing import Mapping, Optional, Sequence, Tuple

from gpuctl.facts.machine.processes import parse_cmdline, processes_called
from gpuctl.facts.machine.system import probe_package_manager
from gpuctl.facts.packages.sources import Source, probe_sources, probe_spoilt, stanzas, without_user
from gpuctl.frozen import dataclass
from gpuctl.host.look.deadline import begin
from gpuctl.host.look.reading import Host, Outcome, Reading, fact
from gpuctl.host.status import status_of
from gpuctl.model import Fact

TOOLKIT = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)
"""What a whole toolkit consists of, by both kinds of packages."""
REPLACED = ("nvidia-docker2", "nvidia-docker", "nvidia-container-runtime", "nvidia-container-runtime-hook")
"""Packages of which nothing is needed beside the toolkit; the last two were released until 1.14.0."""
NAMES = (*TOOLKIT, *REPLACED)
DPKG_INSTALLED = ("dpkg-query", "-W", "-f", "${Package}\t${Version}\t${db:Status-Want}\t${db:Status-Status}\n")
RPM_INSTALLED = ("--qf", "%{NAME}\t%{VERSION}-%{RELEASE}\tinstall\tinstalled\n")
"""What has dpkg, and rpm -q or -qa, answer in the lines that parse_installed reads, of the names that follow."""
DPKG_QUERY = (*DPKG_INSTALLED, *NAMES)
RPM_QUERY = ("rpm", "-q", *RPM_INSTALLED, *NAMES)
LOCKS: Mapping[str, Tuple[str, ...]] = {
    "dnf": ("/etc/dnf/plugins/versionlock.list", "/etc/dnf/versionlock.toml"),
    "yum": ("/etc/yum/pluginconf.d/versionlock.list",),
    "zypper": ("/etc/zypp/locks",),
}
"""Where rpm's package managers keep which packages are to stay as they are."""
POLICY = ("apt-cache", "policy", TOOLKIT[0])
PREFERENCES = ("/etc/apt/preferences", "/etc/apt/preferences.d")
"""Where apt is told to prefer other packages than the newest: apt_preferences(5)."""
USUAL_PRIORITY = 500
"""What apt gives to a source that nothing is said of: apt_preferences(5)."""
REPOSITORY = "nvidia.github.io/"
"""Part of every address of NVIDIA's repository of the toolkit."""
CUDA_REPOSITORY = "developer.download.nvidia.com/compute/cuda/repos"
_READ, _ENTERED = 0o004, 0o001
"""What the user _apt, who reads the keys, needs of a file and of a folder: apt-secure(8)."""
TRUSTED = ("/etc/apt/trusted.gpg", "/etc/apt/trusted.gpg.d")
"""The keys that count for a source without Signed-By: apt-secure(8)."""
_LOCKED = "Another process has locked the database for writing"
"""How dpkg --audit begins where it complains while apt or another dpkg is at work (seen with dpkg 1.21.22)."""
_CHANGES = frozenset(
    ["-i", "--install", "--unpack", "--configure", "--triggers-only", "-r", "--remove", "-P", "--purge"]
)
"""The options by which dpkg changes packages: dpkg(1)."""
# gpg wants a home folder, and makes files in it where it can: in /proc it cannot.
SHOW_KEYS = (
    *("gpg", "--batch", "--no-options", "--homedir", "/proc", "--no-keyring", "--no-auto-check-trustdb"),
    *("--trust-model", "always", "--with-colons", "--show-keys"),
)


@dataclass(frozen=True)
class Package:
    """`version` is "" where only its configuration is left. `whole`: it was unpacked and configured to the end."""

    version: str
    held: bool = False
    whole: bool = True


@dataclass(frozen=True)
class Offer:
    """A version that apt knows, the priority that pins give it, and where it is from (addresses, or dpkg's status)."""

    version: str
    priority: int
    places: Tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """What apt would install as nvidia-container-toolkit, "" for nothing, and all that it knows, newest first."""

    candidate: str
    offers: Tuple[Offer, ...]

    @property
    def nvidias(self) -> Optional[Offer]:
        """The newest of NVIDIA's repository."""
        return next((one for one in self.offers if any(REPOSITORY in place for place in one.places)), None)

    @property
    def before_nvidias(self) -> Optional[Offer]:
        """What apt would take of somebody else, though NVIDIA's repository has one."""
        chosen = next((one for one in self.offers if one.version == self.candidate), None)
        is_theirs = chosen and any(REPOSITORY in place for place in chosen.places)
        return chosen if self.nvidias and not is_theirs else None

    def __str__(self) -> str:
        return "%s, of %d that apt knows" % (self.candidate or "none", len(self.offers))


@dataclass(frozen=True)
class Packages:
    """Where the host has another kind of packages, all is absent but the manager."""

    manager: Fact[str]
    installed: Fact[Mapping[str, Package]]
    sources: Fact[Tuple[Source, ...]]
    interrupted: Fact[str]
    """What dpkg left undone when it was interrupted, in its words; absent where nothing is."""
    policy: Fact[Policy]
    """Absent, too, where apt has nothing to choose, as the whole toolkit is here and no pin prefers another."""
    cuda_keys: Fact[Tuple[str, ...]]
    """Ids of the keys that apt trusts for NVIDIA's CUDA repository; absent where it has no such source."""
    spoilt: Fact[str]
    """A file of NVIDIA's sources that holds an error page."""
    closed: Fact[str]
    """A key that a source of apt's names, or its folder, which others than its owner may not read."""


def probe_packages(host: Host) -> Packages:
    """Returns what dpkg, or rpm, knows of the toolkit's packages, and from where the manager would take others."""
    manager = probe_package_manager(host)
    if manager.value == "apt":
        return _by_apt(host, manager)
    installed, sources = probe_installed(host, manager.value), probe_sources(host, manager.value)
    return Packages(
        manager,
        installed,
        sources,
        Fact(None, "dpkg"),
        Fact(None, "apt-cache"),
        Fact(None, "apt's sources"),
        probe_spoilt(host, manager.value),
        Fact(None, "apt's keys"),
    )


def _by_apt(host: Host, manager: Fact[str]) -> Packages:
    interrupted = begin(lambda: probe_interrupted(host))
    sources, installed = probe_sources(host, manager.value), probe_installed(host, manager.value)
    policy = begin(lambda: _policy(host, sources, installed.value or {}))
    keys, spoilt = _cuda_keys(host, sources.value or ()), probe_spoilt(host, manager.value)
    closed = _closed_key(host, sources.value or ())
    return Packages(manager, installed, sources, interrupted(), policy(), keys, spoilt, closed)


def _policy(host: Host, sources: Fact[Tuple[Source, ...]], installed: Mapping[str, Package]) -> Fact[Policy]:
    """Asked only where apt has something to choose: it reads all its lists for the answer."""
    if not (sources.unknown or any(REPOSITORY in source.uri for source in sources.value or ())):
        return Fact(None, sources.source)
    if is_whole(installed) and not _prefers(host):
        return Fact(None, PREFERENCES[1])
    return fact(host.run(POLICY, 10.0), parse_policy)


def is_whole(installed: Mapping[str, Package]) -> bool:
    """Returns whether all of the toolkit is installed, in one version, and nothing that it replaces."""
    parts = [installed[name] for name in TOOLKIT if name in installed]
    versions = {part.version for part in parts if part.version and part.whole}
    return len(parts) == len(TOOLKIT) == len(installed) and len(versions) == 1


def _prefers(host: Host) -> bool:
    """Whether a pin may prefer another toolkit to the newest one. What cannot be read may hold such a pin."""
    folder = host.list(PREFERENCES[1])
    paths = ["%s/%s" % (PREFERENCES[1], name) for name in folder.text.splitlines()]
    files = [host.read(path) for path in (PREFERENCES[0], *paths)]
    unread = any(reading.outcome not in (Outcome.OK, Outcome.ABSENT) for reading in (folder, *files))
    return unread or any(pins_toolkit(reading.text) for reading in files)


def pins_toolkit(text: str) -> bool:
    """Returns whether a file of apt's preferences gives packages of the toolkit more than the usual priority.

    Package: *
    Pin: release o=pop-os-release
    Pin-Priority: 1001
    """
    names = [fields.get("package", "").split() for fields in stanzas(text) if _priority(fields) > USUAL_PRIORITY]
    return any(_may_name_toolkit(pattern) for patterns in names for pattern in patterns)


def _priority(fields: Mapping[str, str]) -> int:
    told = re.match(r"-?\d{1,9}", fields.get("pin-priority", ""))
    return int(told.group()) if told else 0


def _may_name_toolkit(pattern: str) -> bool:
    """A regular expression, or a source package, may name anything."""
    return pattern.startswith(("/", "src:")) or any(fnmatchcase(name, pattern) for name in TOOLKIT)


def probe_installed(host: Host, manager: Optional[str]) -> Fact[Mapping[str, Package]]:
    """Returns the packages by name; those that are not there are left out."""
    if manager == "apt":
        return _queried(host.run(DPKG_QUERY), "")
    if manager and manager in LOCKS:
        return _queried(host.run(RPM_QUERY), "\n".join(host.read(path).text for path in LOCKS[manager]))
    return Fact(None, "package manager")


def _queried(reading: Reading, locks: str) -> Fact[Mapping[str, Package]]:
    if reading.outcome is Outcome.OK and not reading.detail.startswith("error"):
        # Its exit status says that some of them are not there.
        return Fact(parse_installed(reading.text, locks), reading.source)
    return fact(reading, lambda _: {})


def parse_installed(text: str, locks: str = "") -> Mapping[str, Package]:
    """Returns the packages that a query lists, by name. `locks` names those that are to stay as they are.

    nvidia-container-toolkit<TAB>1.17.8-1<TAB>hold<TAB>installed
    nvidia-docker2<TAB>2.13.0-1<TAB>deinstall<TAB>config-files
    package nvidia-docker is not installed
    """
    rows = [line.split("\t") for line in text.splitlines() if line.count("\t") == 3]
    names = Counter(row[0] for row in rows)  # twice: rpm was interrupted between the new one and the old one
    return {
        name: Package(
            version="" if status == "config-files" else version,
            held=want == "hold" or name in locks,
            whole=status in ("installed", "config-files") and names[name] == 1,
        )
        for name, version, want, status in rows
        if status != "not-installed"
    }


def probe_interrupted(host: Host) -> Fact[str]:
    """Returns what dpkg --audit complains of, or that its journal is not empty, for which apt refuses to begin.

    While another process is at work, both may be so of a whole dpkg: that is unknown.
    """
    audit = host.run(("dpkg", "--audit"), 10.0)
    if audit.outcome is not Outcome.OK:
        return fact(audit, str)
    said = audit.text.strip()
    journal = any(name.isdigit() for name in host.list("/var/lib/dpkg/updates").text.splitlines())
    if said.startswith(_LOCKED) or (journal and not said and _is_at_work(host)):
        return Fact(None, audit.source, unknown="another process is changing packages at this moment")
    return Fact(said or ("/var/lib/dpkg/updates is not empty" if journal else None), audit.source)


def _is_at_work(host: Host) -> bool:
    """Whether a dpkg is changing packages: apt asks one for its settings, too, even where it only looks."""
    running = processes_called(host, ("dpkg",))
    return any(_CHANGES & set(parse_cmdline(host.read("/proc/%d/cmdline" % pid).text)) for pid in running)


def parse_policy(text: str) -> Optional[Policy]:
    """Returns what apt-cache policy says of a package, None where apt does not know it.

    nvidia-container-toolkit:
      Installed: 1.17.8-1
      Candidate: 1.18.0-1
      Version table:
         1.18.0-1 500
            500 https://nvidia.github.io/libnvidia-container/stable/deb/amd64  Packages
     *** 1.17.8-1 100
            100 /var/lib/dpkg/status
    """
    candidate = re.search(r"^  Candidate: (\S+)", text, re.MULTILINE)
    if candidate is None:
        return None
    offers = []
    for block in re.split(r"^ (?:\*\*\*|   ) (?=\S)", text, flags=re.MULTILINE)[1:]:
        version, priority = block.split()[:2]
        places = re.findall(r"^ {7} *-?\d+ (\S+)", block, re.MULTILINE)
        offers.append(Offer(version, int(priority), tuple(without_user(place) for place in places)))
    return Policy("" if candidate[1] == "(none)" else candidate[1], tuple(offers))


def _cuda_keys(host: Host, sources: Sequence[Source]) -> Fact[Tuple[str, ...]]:
    signed_by = [source.signed_by for source in sources if CUDA_REPOSITORY in source.uri]
    if not signed_by:
        return Fact(None, "apt's sources")
    folder = host.list(TRUSTED[1]).text.splitlines()
    trusted = [TRUSTED[0], *("%s/%s" % (TRUSTED[1], name) for name in folder if name.endswith((".gpg", ".asc")))]
    named = [path for keys in signed_by for path in _files_of(keys)]
    files = [path for path in (named if all(signed_by) else trusted) if host.stat(path).ok]
    return fact(host.run((*SHOW_KEYS, *files)), parse_keys) if files else Fact((), "apt's keys")


def _files_of(signed_by: str) -> Tuple[str, ...]:
    return tuple(path for path in re.split(r"[,\s]+", signed_by) if path.startswith("/"))


def _closed_key(host: Host, sources: Sequence[Source]) -> Fact[str]:
    """The first of root's that is closed: who gave one to another owner or group may have given it to _apt. A source
    that names no file goes by keys that apt looks after itself.
    """
    named = dict.fromkeys(path for source in sources for path in _files_of(source.signed_by))
    for path in named:
        for place, need in ((posixpath.dirname(path), _ENTERED), (path, _READ)):
            seen = status_of(host.stat(place))
            if seen and seen.uid == seen.gid == 0 and seen.mode & need != need:
                return Fact(place, place)
    return Fact(None, "apt's keys")


def parse_keys(text: str) -> Tuple[str, ...]:
    """Returns the ids of public keys that gpg lists.

    pub:-:4096:1:A4B469963BF863CC:1649805893:::-:::scESC::::::23::0:
    """
    return tuple(re.findall(r"^pub:[^:]*:[^:]*:[^:]*:([0-9A-F]{16}):", text, re.MULTILINE))
