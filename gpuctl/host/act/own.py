"""This gpuctl itself, in a process of its own: for work on what strangers wrote, of which there is much."""

from __future__ import annotations

import json
import os
import sys
from typing import Sequence

from gpuctl.host.look.local import child_environment
from gpuctl.host.look.programs import run_program
from gpuctl.host.look.reading import Reading

# As in gpuctl.host.look.local: -I keeps the current directory out of a process that may run as root.
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); sys.argv[:] = ['gpuctl', *sys.argv[2:]];"
    " from gpuctl.__main__ import main; main()"
)


def run_gpuctl(argv: Sequence[str], deadline: float) -> Reading:
    """Returns what gpuctl prints with these arguments, and its exit status. `deadline` in seconds."""
    path = json.dumps([os.path.abspath(folder) for folder in sys.path])
    command = [sys.executable, "-I", "-S", "-c", _CHILD, path, *argv]
    return run_program("gpuctl " + " ".join(argv), command, child_environment(), deadline)
