"""The licence of a virtual GPU, which its guest driver gets from a server."""

from __future__ import annotations

import re
from typing import Any, Optional

from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, fact
from gpuctl.model import Fact
from gpuctl.regex import regex

QUERY = ("nvidia-smi", "-q")
TOKENS = "/etc/nvidia/ClientConfigToken"
SETTINGS = "/etc/nvidia/gridd.conf"
_VIRTUAL = regex(r'"name": "(?:GRID|NVIDIA) [^"]{1,60}-[0-9]{1,3}[QABC](?:ME)?"')
"""NVML's name of a virtual GPU ends in its profile: GRID T4-16Q, NVIDIA H100L-94C, NVIDIA A100-1-5CME."""
_STATUS = regex(r"^[ \t]*License Status[ \t]*: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Licence:
    """All absent on machines without a virtual GPU."""

    status: Fact[str]
    """As nvidia-smi -q words it: "Licensed (Expiry: …)", "Unlicensed (Unrestricted)"."""
    token: Fact[str]
    """The client configuration token, by which it finds the licence server."""
    server: Fact[str]
    """The server that gridd.conf names, as was the way before there were tokens."""


def is_virtual(nvml: str) -> bool:
    """Returns whether NVML names a virtual GPU in what it printed.

    {"index": 0, "name": "NVIDIA A16-8C"}
    """
    return bool(_VIRTUAL.search(nvml))


def probe_licence(host: Host) -> Licence:
    """Returns what the guest driver says of its licence, and from where it is to get one."""
    said = host.nvml()
    if not is_virtual(said.text):
        gone: Fact[Any] = Fact(None, said.source)
        return Licence(gone, gone, gone)
    tokens = host.list(TOKENS)
    return Licence(
        status=fact(host.run(QUERY, 5.0), parse_licence_status),
        token=fact(tokens, lambda text: next((name for name in text.splitlines() if name.endswith(".tok")), None)),
        server=fact(host.read(SETTINGS), parse_server),
    )


def parse_licence_status(text: str) -> Optional[str]:
    """Returns the licence's status by nvidia-smi -q, None where it tells none.

    vGPU Software Licensed Product
        Product Name                  : NVIDIA Virtual Compute Server
        License Status                : Unlicensed (Restricted)
    """
    found = _STATUS.search(text)
    return found.group(1).strip() if found and found.group(1).strip() != "N/A" else None


def parse_server(text: str) -> Optional[str]:
    """Returns the licence server of gridd.conf, None where it names none.

    # comment
    ServerAddress=licences.example.com
    """
    lines = (line.partition("=") for line in text.splitlines() if not line.lstrip().startswith("#"))
    return next((value.strip() for name, _, value in lines if name.strip() == "ServerAddress"), "") or None
