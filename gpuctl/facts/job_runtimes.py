"""What runs containers inside a person's job, without a daemon and without root: the engines of compute clusters."""

from __future__ import annotations

from typing import Tuple

from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host
from gpuctl.model import Fact

BY_THEMSELVES = ("apptainer", "singularity", "ch-run")
"""They bring the driver's files in by themselves: apptainer.org/docs/user/latest/gpu.html (--nv), and Charliecloud's
`ch-fromhost --nvidia`."""
ENROOT = "enroot"
"""Its hook 98-nvidia.sh calls nvidia-container-cli (https://github.com/NVIDIA/enroot, conf/hooks)."""


@dataclass(frozen=True)
class JobRuntimes:
    """The programs of such engines."""

    programs: Fact[Tuple[str, ...]]
    """Their names; absent where there is none."""

    @property
    def by_toolkit(self) -> bool:
        """Whether one of them needs a part of NVIDIA's toolkit."""
        return ENROOT in (self.programs.value or ())


def probe_job_runtimes(host: Host) -> JobRuntimes:
    """Returns which of them are on PATH."""
    names = (*BY_THEMSELVES, ENROOT)
    found = tuple(name for name in names if host.which(name).ok)
    return JobRuntimes(Fact(found or None, ", ".join(names)))
