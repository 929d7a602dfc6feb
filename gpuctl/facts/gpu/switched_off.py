"""Which program has switched NVIDIA's GPU off, so that the other one of a laptop saves power."""

from __future__ import annotations

from typing import Mapping, Pattern, Tuple

from gpuctl.host.look.reading import Host
from gpuctl.model import Fact
from gpuctl.regex import regex

_OFF: Mapping[str, Tuple[str, Pattern[str]]] = {
    # https://github.com/pop-os/system76-power, src/graphics.rs
    "/etc/modprobe.d/system76-power.conf": ("system76-power", regex(r"(?m)^(?:blacklist nvidia|alias nvidia off)\b")),
    # https://github.com/bayasdev/envycontrol, envycontrol.py
    "/etc/udev/rules.d/50-remove-nvidia.rules": ("envycontrol", regex(r"0x10de")),
    # https://gitlab.com/asus-linux/supergfxctl, src/config.rs
    "/etc/supergfxd.conf": ("supergfxctl", regex(r'"mode": *"Integrated"')),
    # https://github.com/canonical/nvidia-prime, prime-select
    "/etc/prime-discrete": ("prime-select", regex(r"off\b")),
}
"""Where each keeps that, the surer signs first: system76-power writes the last one, too."""


def probe_switched_off(host: Host) -> Fact[str]:
    """Returns the program; absent where none has."""
    for path, (program, off) in _OFF.items():
        if off.search(host.read(path).text):
            return Fact(program, path)
    return Fact(None, "programs that switch GPUs off")
