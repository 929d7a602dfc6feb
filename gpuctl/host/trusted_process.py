"""Whether gpuctl goes by a process: as whom it runs, and whether it is this machine's own and no container's."""

from __future__ import annotations

import stat
from typing import FrozenSet, Sequence

from gpuctl.host.decode import whole
from gpuctl.host.look.reading import Host, fact
from gpuctl.host.record.snapshot import NOT_RECORDED
from gpuctl.host.status import status_of
from gpuctl.host.trust import whom
from gpuctl.regex import regex

_SERVICE = regex(r"/system\.slice/(?:[^/]+\.slice/)*[^/]+\.service")
"""A unit in another one is what a container manager, or a container, made of its own part."""


def distrusted_process(host: Host, pid: int) -> str:
    """Returns why gpuctl does not go by a process, "" where it does: it is root's, or this user's.

    One that a set-user-ID program runs is whoever's called it, under any name and with any words (sudo waits for a
    password as root). A snapshot that was made before gpuctl looked at this says nothing against it.
    """
    status = host.read("/proc/%d/status" % pid)
    if status.detail == NOT_RECORDED:
        return ""
    users = parse_users(status.text)
    me = fact(host.env("euid"), whole).value or 0
    if users not in ({0}, {me}):
        who = " and ".join(map(str, sorted(users)))
        return "process %d %s: %s" % (pid, "belongs to user %s" % who if who else "has ended", whom(me))
    program = status_of(host.stat("/proc/%d/exe" % pid))
    if users == {0} and program and program.mode & (stat.S_ISUID | stat.S_ISGID):
        return "process %d is a program that every user may run as root" % pid
    return ""


def is_here(host: Host, pid: int) -> bool:
    """Returns whether a process has this machine's processes and files before it: those of containers have their own.

    A service of systemd's may have mounts of its own, and a rootless engine has.
    """
    status = host.read("/proc/%d/status" % pid).text
    ours = host.link("/proc/self/ns/pid").text
    if parse_depth(status) > 1 or host.link("/proc/%d/ns/pid" % pid).text not in (ours, ""):
        return False
    mounts, ours = host.link("/proc/%d/ns/mnt" % pid).text, host.link("/proc/self/ns/mnt").text
    known = mounts in (ours, "") or parse_users(status) != {0}
    return known or is_service(host.read("/proc/%d/cgroup" % pid).text)


def parse_users(status: str) -> FrozenSet[int]:
    """Returns the users as whom a process acts, of /proc/PID/status: real, effective, saved, of files.

    One that is set-user-ID acts as two. The owner of /proc/PID does not tell: it is root for what may not be dumped.

    Uid:	1000	0	0	0
    """
    return frozenset(int(word) for word in _field(status, "Uid:") if word.isdecimal() and len(word) < 16)


def parse_depth(status: str) -> int:
    """Returns in how many process namespaces, from ours on, a process has an id: one name in each (proc(5)).

    NSpid:	4711	1
    """
    return len(_field(status, "NSpid:"))


def is_service(cgroup: str) -> bool:
    """Returns whether a process is a system service's, by its control groups (cgroups(7), /proc/pid/cgroup).

    0::/system.slice/snap.docker.dockerd.service
    """
    return any(_SERVICE.fullmatch(line.rpartition(":")[2]) for line in cgroup.splitlines())


def _field(status: str, name: str) -> Sequence[str]:
    return next((line.split()[1:] for line in status.splitlines() if line.startswith(name)), ())
