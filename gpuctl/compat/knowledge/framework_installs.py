"""How a framework's releases are installed by pip: knowledge from data/framework_installs.jsonl."""

from __future__ import annotations

from functools import cache

from gpuctl.compat.tables.loader import load
from gpuctl.compat.versions import parts
from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class FrameworkInstall:
    """How the releases from `first` to `last` (None: the newest) are installed, and what their image has to have.

    `requirement` and `options` are pip's, with {version}, {digits} (121) and {major} (12) of the build's CUDA.
    """

    framework: str
    first: str
    python_from: str
    python_to: str
    requirement: str
    flavour: str
    source: str
    last: str | None = None
    options: str = ""
    cudnn: int | None = None

    def runs_on(self, python: str | None) -> bool:
        """Returns whether there are wheels for a version of Python (None: not known)."""
        return python is not None and parts(self.python_from) <= parts(python) <= parts(self.python_to)

    def pip_words(self, version: str, cuda: str) -> tuple[str, ...]:
        """Returns what stands behind `pip install` for a release in its build for a CUDA version."""
        major = cuda.partition(".")[0]
        names = {"version": version, "digits": cuda.replace(".", ""), "major": major}
        return tuple(word.format(**names) for word in (self.requirement, *self.options.split()))


@cache
def framework_installs() -> tuple[FrameworkInstall, ...]:
    """Returns the rows in their order."""
    return load("framework_installs", FrameworkInstall)


def install_of(framework: str, version: str) -> FrameworkInstall | None:
    """Returns how a release is installed, None where no row tells."""
    asked = parts(version)
    return next(
        (
            row
            for row in framework_installs()
            if row.framework == framework
            and parts(row.first) <= asked
            and (row.last is None or asked <= parts(row.last))
        ),
        None,
    )
