"""The parts of the NVIDIA Container Toolkit, where they are and which version each has."""

from __future__ import annotations

import posixpath
import re
from typing import Callable, Mapping, Optional

from gpuctl.facts.toolkit.cdi import Cdi, probe_cdi
from gpuctl.frozen import dataclass
from gpuctl.host.look.deadline import begin
from gpuctl.host.look.reading import Host, Outcome, Reading, fact
from gpuctl.host.status import parse_status
from gpuctl.model import Fact

HOOK = "nvidia-container-runtime-hook"
"""The name that dockerd looks for (moby, daemon/nvidia_linux.go). Packages call the file nvidia-container-toolkit
and link it; without the link, dockerd finds nothing."""
CDI_HOOK = "nvidia-cdi-hook"
"""What dockerd 29.2 and later looks for beside it (moby, daemon/devices_nvidia_linux.go)."""
CTK = "nvidia-ctk"
ASKED = (CTK, "nvidia-container-cli", "runc")
RUNTIME = "nvidia-container-runtime"
BESIDE = (RUNTIME, HOOK, CDI_HOOK)
"""They are built as one with nvidia-ctk: nvidia-container-toolkit 1.17 and later asks for nvidia-container-toolkit-base
of its very version (apt-cache show). Beside nvidia-ctk they have its version, and are not asked for theirs."""
OPERATOR = "/usr/local/nvidia/toolkit"
"""Where the GPU Operator's toolkit container puts its programs, and on no PATH."""
SETTINGS = "/etc/nvidia-container-runtime/config.toml"
_VERSIONS: Mapping[str, str] = {
    CTK: r"^NVIDIA Container Toolkit CLI version (\S+)",
    "nvidia-container-cli": r"^(?:cli-)?version: (\S+)",
    RUNTIME: r"^NVIDIA Container Runtime version (\S+)",
    HOOK: r"^NVIDIA Container Runtime Hook version (\S+)",
    CDI_HOOK: r"^NVIDIA CDI Hook version (\S+)",
    "runc": r"^runc version (\S+)",
}


@dataclass(frozen=True)
class Part:
    """A program on PATH, or where the GPU Operator keeps it. `version` is "" when it does not tell, or is not asked."""

    path: str
    version: str


@dataclass(frozen=True)
class Toolkit:
    """Absent parts are absent facts. `…_changed`: when a hook came to be where it is, seconds since the epoch."""

    ctk: Fact[Part]
    cli: Fact[Part]
    runtime: Fact[Part]
    hook: Fact[Part]
    cdi_hook: Fact[Part]
    runc: Fact[Part]
    hook_changed: Fact[float]
    cdi_hook_changed: Fact[float]
    cdi: Fact[Cdi]
    """The CDI specifications in /etc/cdi and /var/run/cdi."""


def probe_toolkit(host: Host) -> Toolkit:
    """Returns the parts, each asked for its version at the same time as the others."""
    asked = [_begin_part(host, name) for name in ASKED]
    cdi = probe_cdi(host)
    ctk, cli, runc = (part() for part in asked)
    beside = [_begin_part(host, name, ctk.value) for name in BESIDE]
    runtime, hook, cdi_hook = (part() for part in beside)
    return Toolkit(ctk, cli, runtime, hook, cdi_hook, runc, _changed(host, hook), _changed(host, cdi_hook), cdi)


def _begin_part(host: Host, name: str, ctk: Optional[Part] = None) -> Callable[[], Fact[Part]]:
    return begin(lambda: _part(host, name, ctk))


def _part(host: Host, name: str, ctk: Optional[Part]) -> Fact[Part]:
    found = _found(host, name)
    if not found.ok or (ctk and ctk.version and posixpath.dirname(found.text) == posixpath.dirname(ctk.path)):
        return fact(found, lambda path: Part(path, ""))
    # Its exit status does not count: nvidia-container-runtime tells its version, then fails where it has no runc.
    said = host.run((found.text if found.text.startswith(OPERATOR) else name, "--version"))
    return Fact(Part(found.text, parse_version(name, said.text)), found.text)


def _found(host: Host, name: str) -> Reading:
    on_path, path = host.which(name), "%s/%s" % (OPERATOR, name)
    return Reading(path, Outcome.OK, path) if not on_path.ok and host.stat(path).ok else on_path


def parse_version(name: str, text: str) -> str:
    """Returns what a program says of its own version, "" when it does not.

    An old nvidia-container-runtime hands --version on to runc, so that only runc's is told.

    NVIDIA Container Toolkit CLI version 1.17.8
    cli-version: 1.17.8
    version: 1.0.7
    NVIDIA Container Runtime version 1.17.8
    NVIDIA Container Runtime Hook version 1.17.6
    NVIDIA CDI Hook version 1.17.8
    runc version 1.1.5+ds1
    """
    found = re.search(_VERSIONS[name], text, re.MULTILINE)
    return found.group(1) if found else ""


def _changed(host: Host, hook: Fact[Part]) -> Fact[float]:
    if hook.value is None:
        return Fact(None, hook.source, hook.unknown)
    # Not mtime: packages carry that of their making. ctime is when this file was put here.
    return fact(host.stat(hook.value.path), lambda text: parse_status(text).ctime)
