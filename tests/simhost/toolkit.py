"""The NVIDIA Container Toolkit's programs, installed into a directory of a test's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .bed import Bed

PROGRAMS = Path(__file__).parent / "programs"
INTERPRETER = "/usr/bin/python3"
"""Of Debian, so that a dockerd in another root finds it too."""
NAMES = ("nvidia-ctk", "nvidia-container-cli", "nvidia-container-runtime", "nvidia-container-runtime-hook")


class Toolkit:
    """A directory for PATH, empty until `install`."""

    def __init__(self, bed: Bed, directory: Path) -> None:
        self.bed, self.directory = bed, directory

    @property
    def runtime(self) -> str:
        """What daemon.json names."""
        return str(self.directory / "nvidia-container-runtime")

    def install(self, profile: str, **settings: Any) -> None:
        """Installs the programs for a host with that profile.

        Settings, to make it lie or fail: `devices="0"` injects only those GPUs whatever is asked for,
        `driver="418.67"` another driver, `cuda="cuInit=802"` a CUDA that fails so (native/cuda.c);
        `error="nvml error: driver not loaded"` fails with that text.
        `version` is what the programs say of themselves. `config` is the text of config.toml: they go by it as the
        real ones do, and a host that is to see it is given it in its own /etc.
        """
        for name in NAMES:
            program = self.directory / name
            source = "".join((PROGRAMS / f"{part}.py").read_text() for part in ("config", name))
            program.write_text(f"#!{INTERPRETER} -IS\n{source}")
            program.chmod(0o755)
        self.configure(profile, **settings)

    def configure(self, profile: str, **settings: Any) -> None:
        """Changes the settings of installed programs."""
        files = {"smi": str(self.bed.smi), "libraries": [str(self.bed.library), str(self.bed.cuda)]}
        values = {"profile": profile, "version": "1.17.8", **files, **settings}
        (self.directory / "gpusim.json").write_text(json.dumps(values))

    def remove(self) -> None:
        """Uninstalls the programs."""
        for name in NAMES:
            (self.directory / name).unlink()
