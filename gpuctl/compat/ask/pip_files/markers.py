"""Which of the packages that a file names are installed in an environment: its markers say so.

Source: https://packaging.python.org/en/latest/specifications/dependency-specifiers/#environment-markers
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence, Set
from functools import lru_cache
from typing import TYPE_CHECKING

from gpuctl.compat.ask.frameworks import pinned_version
from gpuctl.compat.ask.pip_files.pins import Pin
from gpuctl.frozen import dataclass

if TYPE_CHECKING:
    from packaging.version import Version

_LINUX = {
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_python_implementation": "CPython",
    "implementation_name": "cpython",
    "extra": "",
}
_LONGEST_MARKER = 4096
_QUOTED = re.compile(r"[\"']([^\"']+)[\"']")
_PYTHONS = tuple(f"3.{minor}" for minor in range(8, 16))
_CHOICES = 30
"""Extras and groups that a marker names and that are each tried alone."""
_COMPARED = 30
"""Pins of a package that differ and are held against each other. A file may have 20,000, and no person's has more."""
_MACHINES = ("x86_64", "aarch64")


@dataclass(frozen=True)
class Environment:
    """Where packages are installed: on which architecture (as `uname -m` has it), for which Python ("3.11").

    None: not known, so any. It is Linux.
    """

    machine: str | None = None
    python: str | None = None


ANYWHERE = Environment()
BY_PYTHON = "the application's Python, which --python names"
BY_EXTRA = "the extras and groups that are chosen (what uv export or pip freeze prints with them tells)"


@dataclass(frozen=True)
class Installed:
    """The pins that an environment installs; `elsewhere`: pins that another architecture installs were left out."""

    pins: tuple[Pin, ...]
    elsewhere: bool

    @property
    def alternatives(self) -> dict[str, str]:
        """The packages of which several versions are pinned and one alone is installed, each with what decides that:
        the Python, or in a lock file the extras and groups.
        """
        several = {name: pins for name, pins in self._by_name.items() if len(_specifiers(pins)) > 1}
        by_python = dict.fromkeys((name for name, pins in several.items() if not _together(pins)), BY_PYTHON)
        by_extra = dict.fromkeys((name for name, pins in several.items() if pins[0].locked), BY_EXTRA)
        return by_extra | by_python

    @property
    def _by_name(self) -> dict[str, list[Pin]]:
        named: dict[str, list[Pin]] = {}
        for pin in self.pins:
            named.setdefault(pin.name, []).append(pin)
        return named

    @property
    def optional(self) -> frozenset[str]:
        """The packages that are installed only with an extra or a group that has to be named."""
        return frozenset(pin.name for pin in self.pins if pin.optional)


def installed(pins: Iterable[Pin], environment: Environment) -> Installed:
    """Returns which pins an environment installs.

    Of the pins of one package those count that are for this Python. Where none is, the file is meant for another
    Python, and each counts.
    """
    linux = [pin for pin in pins if _may_apply(pin, ANYWHERE)]
    here = [pin for pin in linux if _may_apply(pin, Environment(environment.machine))]
    fitting = {id(pin) for pin in here if _may_apply(pin, environment)}
    named = {pin.name for pin in here if id(pin) in fitting}
    taken = tuple(pin for pin in here if id(pin) in fitting or pin.name not in named)
    return Installed(taken, len(here) < len(linux))


def contradiction(pins: Iterable[Pin]) -> tuple[Pin, Pin] | None:
    """Returns two pins of a package of which no version meets both, though both are installed; None: there are none."""
    fixed: dict[str, dict[tuple[Version, tuple[str, ...]], Pin]] = {}
    for pin in pins:
        version = pinned_version(pin.requirement)
        if version is None or pin.locked:
            continue
        others = fixed.setdefault(pin.name, {})
        if (version, pin.markers) in others or len(others) == _COMPARED:
            continue
        for (its, _), other in others.items():
            meet = version in other.requirement.specifier or its in pin.requirement.specifier
            if not meet and _together((other, pin)):
                return other, pin
        others[version, pin.markers] = pin
    return None


@lru_cache(maxsize=1024)
def meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Returns whether some environment installs pins with both of these markers."""
    if one == other or "" in one or "" in other:
        return True
    places = ((machine, python) for machine in _MACHINES for python in _PYTHONS)
    return any(
        all(any(_holds_somewhere(marker, (machine,), (python,)) for marker in markers) for markers in (one, other))
        for machine, python in places
    )


def _specifiers(pins: Iterable[Pin]) -> set[str]:
    return {str(pin.requirement.specifier) for pin in pins}


def _together(pins: Sequence[Pin]) -> bool:
    """Returns whether some environment installs two of them that differ in what they pin."""
    environments = [Environment(machine, python) for machine in _MACHINES for python in _PYTHONS]
    return any(len(_specifiers(pin for pin in pins if _may_apply(pin, one))) > 1 for one in environments)


def _may_apply(pin: Pin, environment: Environment) -> bool:
    machines = (environment.machine,) if environment.machine else _MACHINES
    pythons = (environment.python,) if environment.python else _PYTHONS
    return any(_holds_somewhere(marker, machines, pythons) for marker in pin.markers)


@lru_cache(maxsize=1024)
def _holds_somewhere(marker: str, machines: Sequence[str], pythons: Sequence[str]) -> bool:
    """Returns whether a marker holds on one of the machines with one of the Pythons; True for one that is no marker.

    Which extras and groups of a lock file are wanted is not known: none, each that the marker names, or all.
    """
    from packaging.markers import Marker

    if not marker or len(marker) > _LONGEST_MARKER:
        return True
    chooses = "extras" in marker or "dependency_groups" in marker
    named: list[str] = sorted(set(_QUOTED.findall(marker))) if chooses else []
    choices = [frozenset[str](), *(frozenset([one]) for one in named[:_CHOICES]), frozenset(named)]
    environments: list[dict[str, str | Set[str]]] = [
        {
            **_LINUX,
            "platform_machine": machine,
            "python_version": python,
            "python_full_version": f"{python}.0",
            "extras": wanted,
            "dependency_groups": wanted,
        }
        for machine in machines
        for python in pythons
        for wanted in choices
    ]
    try:
        parsed = Marker(marker)
        return any(parsed.evaluate(environment, "lock_file") for environment in environments)
    except (ValueError, RecursionError):
        return True
