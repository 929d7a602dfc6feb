"""What the kernel isolates containers with: control groups, user namespaces, SELinux, seccomp."""

from __future__ import annotations

from typing import Tuple

from gpuctl.frozen import dataclass
from gpuctl.host.decode import whole
from gpuctl.host.look.reading import Host, Outcome, fact
from gpuctl.model import Fact

UNIFIED = "/sys/fs/cgroup/cgroup.controllers"
"""There where version 2 is mounted alone: cgroups(7)."""
ENFORCE = "/sys/fs/selinux/enforce"
USE_DEVICES = "/sys/fs/selinux/booleans/container_use_devices"
USE_XSERVER = "/sys/fs/selinux/booleans/container_use_xserver_devices"
"""What is narrower, and enough: the policy calls NVIDIA's nodes xserver_misc_device_t. container-selinux has it."""
SELF = "/proc/self/status"
IDS = "/proc/self/uid_map"
MOST = "/proc/sys/user/max_user_namespaces"
USERS_MAY = "/proc/sys/kernel/unprivileged_userns_clone"
"""Debian's and Arch's kernels have it."""
RESTRICTED = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
"""Ubuntu has it on from 23.10 on: https://discourse.ubuntu.com/t/understanding-apparmor-user-namespace-restriction."""
PROFILES = "/etc/apparmor.d"


@dataclass(frozen=True)
class Isolation:
    """`seccomp`: whether the kernel has it."""

    cgroup_v2: Fact[bool]
    selinux: Fact[bool]
    """Whether it enforces; absent where the kernel runs without SELinux."""
    use_devices: Fact[bool]
    """SELinux's boolean container_use_devices, or the narrower one that is enough; absent without such a policy."""
    seccomp: Fact[bool]
    user_namespace: Fact[bool]
    """Whether this is a user namespace other than the host's, as in an unprivileged container."""
    most_namespaces: Fact[int]
    """How many user namespaces there may be; 0 is what hardening sets."""
    users_may: Fact[bool]
    """Whether who is not root may make one; absent where the kernel has no such setting."""
    profiles: Fact[Tuple[str, ...]]
    """AppArmor's profiles, where it lets none but programs that have one make user namespaces; absent elsewhere."""


def probe_isolation(host: Host) -> Isolation:
    """Returns what the kernel says of itself."""
    unified = host.stat(UNIFIED)
    is_unified = Fact(False, UNIFIED) if unified.outcome is Outcome.ABSENT else fact(unified, lambda _: True)
    return Isolation(
        cgroup_v2=is_unified,
        selinux=fact(host.read(ENFORCE), parse_boolean),
        use_devices=_use_devices(host),
        seccomp=fact(host.read(SELF), has_seccomp),
        user_namespace=fact(host.read(IDS), maps_ids),
        most_namespaces=fact(host.read(MOST), lambda text: whole(text.strip())),
        users_may=fact(host.read(USERS_MAY), parse_boolean),
        profiles=_profiles(host),
    )


def _profiles(host: Host) -> Fact[Tuple[str, ...]]:
    restricted = fact(host.read(RESTRICTED), parse_boolean)
    if not restricted.value:
        return Fact(None, RESTRICTED, restricted.unknown)
    return fact(host.list(PROFILES), lambda text: tuple(text.split()))


def _use_devices(host: Host) -> Fact[bool]:
    every = fact(host.read(USE_DEVICES), parse_boolean)
    narrower = fact(host.read(USE_XSERVER), parse_boolean) if every.value is False else every
    return narrower if narrower.value else every


def parse_boolean(text: str) -> bool:
    """Returns an SELinux boolean, present value first, pending one second; `enforce` has the first alone.

    1 1
    """
    return text.strip().startswith("1")


def maps_ids(text: str) -> bool:
    """Returns whether users have other ids than outside: the first namespace maps all to themselves. Raises ValueError.

    0     100000      65536
    """
    words = text.split()
    if len(words) < 3:
        raise ValueError("no ids")
    return words != ["0", "0", "4294967295"]


def has_seccomp(status: str) -> bool:
    """Returns whether a process's status has the line that only a kernel with CONFIG_SECCOMP writes: proc(5).

    Seccomp:        0
    """
    return any(line.startswith("Seccomp:") for line in status.splitlines())
