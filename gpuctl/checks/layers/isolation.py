"""Has the kernel what the toolkit isolates itself by?"""

from __future__ import annotations

from gpuctl.checks.engine import Judgement, check, passed, warned
from gpuctl.facts.machine.isolation import Isolation
from gpuctl.model import Remedy


@check("kernel.seccomp")
def seccomp(isolation: Isolation) -> Judgement | None:
    """The toolkit confines ldconfig with seccomp, and fails on a kernel that was built without it."""
    has = isolation.seccomp.get()
    if has is None:
        return None
    if has:
        return passed("The kernel has seccomp", isolation.seccomp)
    remedy = Remedy("Run a kernel with CONFIG_SECCOMP and CONFIG_SECCOMP_FILTER.")
    return warned("The kernel has no seccomp: the toolkit's ldconfig fails.", isolation.seccomp, remedy=remedy)
