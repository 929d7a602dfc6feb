"""The encyclopaedia: what gpuctl knows of a family of failures, or of a check of the doctor, by its id."""

from __future__ import annotations

from inspect import getdoc

from gpuctl.checks import CHECKS
from gpuctl.checks.engine import Check
from gpuctl.compat.knowledge.errors.failures import Family, families


def entry(id: str) -> Family | Check | None:
    """Returns the family or the check of that id; None where there is neither."""
    return families().get(id) or CHECKS.get(id)


def entries() -> tuple[Family | Check, ...]:
    """Returns all families, layer by layer, and then all checks."""
    return (*families().values(), *CHECKS.values())


def documentation(one: Check) -> str:
    """Returns what a check looks at and why: its docstring."""
    return getdoc(one.judge) or ""
