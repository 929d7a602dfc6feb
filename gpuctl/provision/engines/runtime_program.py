"""The NVIDIA runtime's program, as an engine has to be told of it."""

from __future__ import annotations

from gpuctl.checks.remedies import install_toolkit
from gpuctl.facts.machine.system import System
from gpuctl.host.look.reading import Host, Outcome
from gpuctl.provision.result import Refused, Wish

PROGRAM = "nvidia-container-runtime"
INSTALLED = f"/usr/bin/{PROGRAM}"
"""Where NVIDIA's packages put it."""


def whole_path(host: Host, system: System, wish: Wish, title: str) -> str:
    """Returns the program's path from the root: the engine's PATH may be another than ours. Raises Refused."""
    wished = wish.runtime_path or PROGRAM
    found = host.which(wished)
    if not found.ok and wish.coming and not wish.runtime_path:
        return INSTALLED
    if found.outcome is Outcome.ERROR:
        raise Refused(f"{wished} is not to be run as root, as {title} would: {found.detail}.")
    if not found.ok:
        remedy = install_toolkit(system, "Install the NVIDIA Container Toolkit.")
        where = "not an executable program" if "/" in wished else "not on PATH"
        raise Refused(f"{wished} is {where}.", remedy=None if wish.runtime_path else remedy)
    if not found.text.startswith("/"):
        raise Refused(f"{title} needs the whole path of {wished}, from the root.")
    return found.text
