"""What the kernel, the engines and NVIDIA's services wrote into their logs lately, as far as it may be read."""

from __future__ import annotations

import re
from typing import Callable, Iterator, Optional, Sequence, Tuple

from gpuctl.bounds import with_end
from gpuctl.facts.machine.services import FABRIC_MANAGER, PERSISTENCED
from gpuctl.facts.machine.systemd import BOOTED
from gpuctl.frozen import dataclass
from gpuctl.host.decode import moment
from gpuctl.host.look.deadline import begin
from gpuctl.host.look.reading import Host, Outcome, Reading, fact
from gpuctl.model import Fact
from gpuctl.regex import regex

KERNEL_LINES, UNIT_LINES = 4000, 300
SINCE = "-1d"
NEWEST_FIRST = "--reverse"
DEADLINE = 4.0
"""Seconds. A journal of many gigabytes is searched from its end, and cut off."""
LETTERS = 800
"""Of a line. What is longer holds an error text wrapped many times, whose end tells, or is no message. Docker 28
and later write some 250 letters behind it: the request, and the container's id twice."""
HEAD = 100
"""Of these, for the line's time, its unit and how the message begins."""
KERNEL_LOG = ("journalctl", "-k", "-b", "-o", "short-iso", "--no-pager", "-n", str(KERNEL_LINES))
DMESG = ("dmesg",)
DKMS = "/var/lib/dkms"
_OF_GPUS = (
    *("nvrm", "nvidia", "xid", "nouveau", "gsp", "nvlink", "nvswitch", "nv_queue"),
    *("aer: ", "pcie bus error", "dmar: [", "amd-vi: event", "unhandled context fault"),
)
"""In small letters. One by one they are found in a tenth of the time that a pattern of them all takes."""
_BAR = regex(r"bar \d+(?: \[[^\]]*\])?: ")
_AT_ONCE = 64
_NOT_ALL = regex("not seeing messages|insufficient permissions")
"""journalctl's hints to a user who may read no log but his own: journalctl(1)."""
_RELEASE = r"[^\n]{0,200}?\b([0-9]{1,2})\.[0-9]{1,3}\.[0-9]"
_BUILT_BY = regex(r"(?:The kernel was built by|compile the kernel):[ \t\n]{1,40}\S{0,80}?(gcc|clang)\b" + _RELEASE)
_BUILT_WITH = regex(
    r"(?:You are using|compiler used here|current compiler):[ \t\n]{1,40}(?:\S{0,80}?(clang)\b)?" + _RELEASE
)
"""In the words of the kernel's Makefile, and of NVIDIA's conftest.sh."""
_NO_COMPILER = regex(r"\b(gcc|clang)-([0-9]{1,2}): (?:command )?not found")
_BUILD_ERROR = regex(r"\berror[: ]|\*\*\* |: (?:command )?not found$", re.IGNORECASE)


@dataclass(frozen=True)
class Logs:
    """Lines, oldest first, each cut to LETTERS in its middle.

    Absent: there is no such log. Unknown: it may not be read.
    """

    kernel: Fact[Tuple[str, ...]]
    """Those of this boot that tell of GPUs."""
    docker: Fact[Tuple[str, ...]]
    """This and the next ones: of the last day; absent where systemd does not run the services."""
    containerd: Fact[Tuple[str, ...]]
    kubelet: Fact[Tuple[str, ...]]
    persistenced: Fact[Tuple[str, ...]]
    fabric_manager: Fact[Tuple[str, ...]]
    booted: Fact[float]
    """When the kernel started, in seconds since the epoch."""
    build: Fact[Tuple[str, ...]]
    """The errors in the make.log that a failed DKMS build of NVIDIA's module has left; absent where none has."""
    compilers: Fact[Tuple[str, str]]
    """By that log what built the kernel ("gcc-12"), and what the module ("" where that is not there)."""


def unit_log(unit: str) -> Tuple[str, ...]:
    """Returns the command that prints a unit's last lines, the newest first.

    Before systemd 254, journalctl takes the first lines since a time where it is not told to go backwards.
    """
    return (*_unit_log(unit), NEWEST_FIRST)


def _unit_log(unit: str) -> Tuple[str, ...]:
    """The command by which snapshots were taken before."""
    return ("journalctl", "-u", unit, "--since", SINCE, "-o", "short-iso", "--no-pager", "-n", str(UNIT_LINES))


def probe_logs(host: Host) -> Logs:
    """Returns the logs, read side by side."""
    units = ("docker", "containerd", "kubelet", PERSISTENCED, FABRIC_MANAGER)
    asked = [_begin_unit(host, unit) for unit in units]
    kernel, made, booted = _kernel(host), _build_log(host), fact(host.env("booted"), moment)
    build, compilers = fact(made, parse_build), fact(made, parse_compilers)
    docker, containerd, kubelet, persistenced, fabric_manager = (answer() for answer in asked)
    return Logs(kernel, docker, containerd, kubelet, persistenced, fabric_manager, booted, build, compilers)


def _kernel(host: Host) -> Fact[Tuple[str, ...]]:
    """The journal's, where it has one; else the kernel's own buffer, which may be closed to all but root."""
    journal = host.run(KERNEL_LOG, DEADLINE) if host.stat(BOOTED).ok else Reading(BOOTED, Outcome.ABSENT)
    if not (journal.ok and parse_log(journal.text)) or _NOT_ALL.search(journal.detail):
        journal = host.run(DMESG, DEADLINE)
    found = fact(journal, lambda text: tuple(of_gpus(parse_log(text))))
    return Fact(found.value, " ".join(journal.source.split()[:2]), found.unknown)


def of_gpus(lines: Sequence[str]) -> Iterator[str]:
    """Yields the lines of the kernel's that tell of the driver, nouveau, the PCI bus or the IOMMU.

    Most tell of none of it, and many at once are passed over in a tenth of the time.
    """
    for first in range(0, len(lines), _AT_ONCE):
        some = lines[first : first + _AT_ONCE]
        if _is_of_gpus("\n".join(some)):
            yield from filter(_is_of_gpus, some)


def _is_of_gpus(text: str) -> bool:
    small = text.lower()
    return any(word in small for word in _OF_GPUS) or bool("bar " in small and _BAR.search(small))


def _begin_unit(host: Host, unit: str) -> Callable[[], Fact[Tuple[str, ...]]]:
    return begin(lambda: probe_unit_log(host, unit))


def probe_unit_log(host: Host, unit: str) -> Fact[Tuple[str, ...]]:
    """Returns a unit's lines of the last day; absent where systemd does not run the services."""
    if not host.stat(BOOTED).ok:
        return Fact(None, BOOTED)
    said = host.run(unit_log(unit), DEADLINE)
    if not said.ok:
        said = host.run(_unit_log(unit), DEADLINE)
    source = "journalctl -u " + unit
    if _NOT_ALL.search(said.detail):
        return Fact(None, source, unknown="this user may not read it")
    found = fact(said, lambda text: oldest_first(parse_log(text)))
    return Fact(found.value, source, found.unknown)


def oldest_first(lines: Tuple[str, ...]) -> Tuple[str, ...]:
    """Returns lines that begin with their times in the order in which they were written."""
    times = [line.partition(" ")[0] for line in (*lines[:1], *lines[-1:])]
    return lines if times and times[0] < times[-1] else lines[::-1]


def parse_log(text: str) -> Tuple[str, ...]:
    """Returns the lines, without what journalctl says of itself.

    -- Logs begin at Mon 2026-11-23 10:00:00 UTC. --
    2026-11-25T10:00:01+0000 gpu1 kernel: NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.
    """
    return tuple(with_end(line, LETTERS, HEAD) for line in text.splitlines() if line and not line.startswith("-- "))


def _build_log(host: Host) -> Reading:
    """dkms leaves make.log in `build` where a build failed, and moves it away after one that went well: dkms(8)."""
    for module in host.list(DKMS).text.splitlines():
        folders = host.list("%s/%s" % (DKMS, module)).text.splitlines() if module.startswith("nvidia") else []
        for version in reversed(folders):
            log = host.read("%s/%s/%s/build/make.log" % (DKMS, module, version))
            if log.outcome is not Outcome.ABSENT:
                return log
    return Reading(DKMS, Outcome.ABSENT)


def parse_build(text: str) -> Optional[Tuple[str, ...]]:
    """Returns the lines of a make.log that name an error, None where none does.

    make[3]: *** [/usr/src/linux-headers-6.8.0-45/scripts/Makefile.build:243: nv-dma.o] Error 1
    nvidia/nv-dma.c:1020:36: error: implicit declaration of function 'dma_buf_export'
    """
    return tuple(line for line in parse_log(text) if _BUILD_ERROR.search(line)) or None


def parse_compilers(text: str) -> Optional[Tuple[str, str]]:
    """Returns what built the kernel and what the module, by a make.log; None where it names none.

      The kernel was built by: x86_64-linux-gnu-gcc-12 (Ubuntu 12.3.0-1ubuntu1~22.04) 12.3.0
      You are using:           cc (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0
    /bin/sh: 1: gcc-13: not found
    """
    missing, kernels, modules = _NO_COMPILER.search(text), _BUILT_BY.search(text), _BUILT_WITH.search(text)
    if missing:
        return "%s-%s" % missing.groups(), ""
    if not kernels or not modules:
        return None
    return "%s-%s" % kernels.groups(), "%s-%s" % (modules.group(1) or "gcc", modules.group(2))
