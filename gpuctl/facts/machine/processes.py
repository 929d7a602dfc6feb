"""The processes of this machine, by what they call themselves: daemons that no socket leads to."""

from __future__ import annotations

from typing import Container, List, Tuple

from gpuctl.facts.machine.kind import parse_environ
from gpuctl.host.decode import whole
from gpuctl.host.look.reading import Host, fact
from gpuctl.host.trusted_process import is_here
from gpuctl.model import Fact
from gpuctl.regex import regex

_PID = regex(r"[1-9][0-9]{0,9}")
TICKS = 100
"""Clock ticks a second in /proc: USER_HZ, which is 100 on all architectures that NVIDIA has drivers for (proc(5))."""


def process_name(host: Host, pid: int) -> str:
    """Returns what a process calls itself, "" for one that is gone."""
    return host.read("/proc/%d/comm" % pid).text.strip()


def processes_called(host: Host, names: Container[str]) -> List[int]:
    """Returns the ids of the processes with one of these names, but for those of containers."""
    pids = [int(word) for word in host.list("/proc").text.split() if is_process_id(word)]
    seen = zip(pids, host.read_all(["/proc/%d/comm" % pid for pid in pids]))
    return [pid for pid, name in seen if name.text.strip() in names and is_here(host, pid)]


def search_path(host: Host, pid: int) -> Fact[str]:
    """Returns the PATH of a process, by which what it starts looks for programs. Its user and root may read it."""
    environ = host.read("/proc/%d/environ" % pid)
    return fact(environ, lambda text: parse_environ(text, "PATH"))


def is_process_id(word: str) -> bool:
    """Returns whether a word is the id of a process.

    812
    """
    return _PID.fullmatch(word) is not None


def parse_cmdline(text: str) -> Tuple[str, ...]:
    r"""Returns the words of /proc/PID/cmdline.

    /usr/sbin/dockerd\0-H\0fd://\0
    """
    return tuple(text.rstrip("\0").split("\0")) if text else ()


def parse_start(text: str) -> float:
    """Returns when a process started, in seconds after the kernel, of /proc/PID/stat. Raises ValueError.

    The name in parentheses may hold blanks and parentheses; the 22nd field is the 20th after it.

    812 (dockerd) S 1 812 812 0 -1 4194560 22371 29406 98 34 260 133 18 16 20 0 12 0 1503 1873190912 19012
    """
    fields = text.rpartition(")")[2].split()
    if len(fields) < 20:
        raise ValueError("too few fields")
    return whole(fields[19]) / TICKS
