"""TOML as Python reads it: from 3.11 on by itself, before that by tomli."""

from __future__ import annotations

import sys
from typing import Any, Dict


def load(text: str) -> Dict[str, Any]:
    """Returns what a TOML document says. Raises ValueError with line and column, RecursionError for an abyss.

    version = 2
    [plugins."io.containerd.grpc.v1.cri".containerd]
      default_runtime_name = "runc"
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)
