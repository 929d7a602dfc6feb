"""The encyclopaedia: what gpuctl knows of a family of failures, of a check of the doctor, or of a rule, by its id."""

from __future__ import annotations

from inspect import getdoc

from gpuctl.checks.engine import Check
from gpuctl.checks.every import CHECKS
from gpuctl.compat.knowledge.dockerfile_rules import DockerfileRule, dockerfile_rules
from gpuctl.compat.knowledge.errors.failures import Family, families

Entry = Family | Check | DockerfileRule


def entry(id: str) -> Entry | None:
    """Returns the family, the check or the rule for Dockerfiles of that id; None where there is none."""
    return families().get(id) or CHECKS.get(id) or dockerfile_rules().get(id)


def entries() -> tuple[Entry, ...]:
    """Returns all families, layer by layer, then all checks, and the rules for Dockerfiles."""
    return (*families().values(), *CHECKS.values(), *dockerfile_rules().values())


def documentation(one: Check) -> str:
    """Returns what a check looks at and why: its docstring."""
    return getdoc(one.judge) or ""
