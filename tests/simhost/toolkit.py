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
CTK_VERSION = """\
if [ "$*" = --version ]; then
    read -r settings < "${0%/*}/gpusim.json"
    version=${settings#*'"version": "'}
    echo "NVIDIA Container Toolkit CLI version ${version%%'"'*}"
    echo "commit: f202b80a9b9d0db00d9b1d73c0128c8962c55f4d"
    exit
fi
"""


def with_shell(shell: str, interpreter: str, source: str) -> str:
    """A program in Python that a shell may answer for: it starts in a twentieth of the time."""
    return f"#!/bin/sh\n''':'\n{shell}exec {interpreter} \"$0\" \"$@\"\n'''\n{source}"


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
            program.write_text(_text(name))
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


def _text(name: str) -> str:
    if name == "nvidia-container-cli":
        return (PROGRAMS / f"{name}.sh").read_text()
    source = "".join((PROGRAMS / f"{part}.py").read_text() for part in ("config", name))
    interpreter = f"{INTERPRETER} -IS"
    return with_shell(CTK_VERSION, interpreter, source) if name == "nvidia-ctk" else f"#!{interpreter}\n{source}"
