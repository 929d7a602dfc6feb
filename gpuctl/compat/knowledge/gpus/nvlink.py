"""Which GPUs hang on NVLink switches that the PCI bus does not show."""

from __future__ import annotations

from gpuctl.compat.tables.loader import pci_device
from gpuctl.regex import regex

MULTI_NODE = regex(r"\bGB[23]00\b")
"""Products whose NVLink domain spans the nodes of a rack: its switch trays set the switches up, and not the node.

Source: https://docs.nvidia.com/multi-node-nvlink-systems/"""
_BOARDS = ("10.0", "10.3")
"""Compute capabilities of the data center's Blackwell, which comes with NVLink 5 alone.

Source: https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/index.html"""


def has_nvlink5(device: str) -> bool:
    """Returns whether a GPU, by its PCI device id, is one of a board with NVLink 5 switches (HGX B200, HGX B300)."""
    known = pci_device(device)
    return known is not None and known.compute_capability in _BOARDS and not MULTI_NODE.search(known.product)
