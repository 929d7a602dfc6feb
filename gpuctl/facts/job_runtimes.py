"""What runs containers inside a person's job, without a daemon and without root: the engines of compute clusters."""

from __future__ import annotations

import stat
from typing import Iterator, Tuple

from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Reading
from gpuctl.host.status import status_of
from gpuctl.model import Fact

BY_THEMSELVES = ("apptainer", "singularity", "ch-run")
"""They bring the driver's files in by themselves: apptainer.org/docs/user/latest/gpu.html (--nv), and Charliecloud's
`ch-fromhost --nvidia`."""
LIBEXEC, STARTER = ("/usr/libexec", "/usr/local/libexec"), "starter-suid"
"""https://apptainer.org/docs/admin/latest/installation.html: the package apptainer-suid, or mconfig --with-suid."""
ENROOT = "enroot"
"""Its hook 98-nvidia.sh calls nvidia-container-cli (https://github.com/NVIDIA/enroot, conf/hooks)."""


@dataclass(frozen=True)
class JobRuntimes:
    """The programs of such engines."""

    programs: Fact[Tuple[str, ...]]
    """Their names; absent where there is none."""
    setuid: Fact[Tuple[str, ...]]
    """Those that begin as root, by a program of theirs, and need no user namespace; absent where none does."""

    @property
    def by_toolkit(self) -> bool:
        """Whether one of them needs a part of NVIDIA's toolkit."""
        return ENROOT in (self.programs.value or ())


def probe_job_runtimes(host: Host) -> JobRuntimes:
    """Returns which of them are on PATH."""
    names = (*BY_THEMSELVES, ENROOT)
    found = tuple(name for name in names if host.which(name).ok)
    setuid = tuple(name for name in found if any(map(_is_setuid, _starters(host, name))))
    return JobRuntimes(Fact(found or None, ", ".join(names)), Fact(setuid or None, STARTER))


def _starters(host: Host, name: str) -> Iterator[Reading]:
    if name in ("apptainer", "singularity"):
        yield from (host.stat("%s/%s/bin/%s" % (folder, name, STARTER)) for folder in LIBEXEC)


def _is_setuid(seen: Reading) -> bool:
    found = status_of(seen)
    return found is not None and bool(found.mode & stat.S_ISUID)
