"""The checks of a cluster as entries of `gpuctl explain`."""

from __future__ import annotations

from typing import Any, cast

from gpuctl.checks.engine import Check
from gpuctl.k8s.checks import CHECKS


def cluster_entries() -> tuple[Check, ...]:
    """Returns each check of a cluster as what explains one: its id, its symptoms and its docstring."""
    return tuple(Check(one.id, one.explains, (), cast(Any, one.judge)) for one in CHECKS.values())
