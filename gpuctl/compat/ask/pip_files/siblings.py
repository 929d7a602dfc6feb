"""Packages of which a release beside them leaves one version alone: torchvision 0.16.2 requires torch 2.1.2."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from gpuctl.compat.ask.frameworks import pinned_version, requirement_of
from gpuctl.compat.ask.pip_files.markers import meet
from gpuctl.compat.ask.pip_files.pins import Pin
from gpuctl.compat.knowledge.indirect import indirect_packages

_BUILD = re.compile(r"cu[0-9]{2,3}|cpu|xpu|rocm[0-9.]+")
_MOST = 30
"""Versions that releases require, of which a file may name many, and no person's names more."""


def with_required(pins: Sequence[Pin]) -> tuple[Pin, ...]:
    """Returns pins with those that a release among them requires to the very version, in the place of open ones.

    One that the file itself pins stays as it is: so it was installed, whatever pip would say. Raises ValueError, with
    both lines, for an open one that does not admit that version.
    """
    fixed = {pin.name for pin in pins if pin.requirement.url or pinned_version(pin.requirement)}
    found = [one for one in islice(_required(pins), _MOST) if one.name not in fixed]
    if not found:
        return tuple(pins)
    taken: list[Pin] = []
    for pin in pins:
        its = [one for one in found if one.name == pin.name]
        taken += [_met(pin, one) for one in its] or [pin]
    there = {pin.name for pin in pins}
    return (*dict.fromkeys(taken), *(one for one in found if one.name not in there))


def parted(pins: Sequence[Pin]) -> Iterator[str]:
    """Yields of each pin that a release beside it does not admit that pip installs neither, with both lines.

    So they may stand all the same, installed one by one: a lock file's were chosen together.
    """
    for required in islice(_required(pins), _MOST):
        wanted = pinned_version(required.requirement)
        for pin in pins:
            version = pinned_version(pin.requirement) if pin.name == required.name and not pin.locked else None
            if version and wanted and version.public != wanted.public and meet(pin.markers, required.markers):
                said = f"{required.where} requires {required.name} {wanted}, and {pin.where} pins {version}"
                yield f"{said}: pip installs neither, unless one by one."


def _required(pins: Sequence[Pin]) -> Iterator[Pin]:
    """Yields what releases require to the very version, each where its package stands, once for each version."""
    done: set[tuple[str, tuple[str, ...]]] = set()
    for pin in pins:
        row, version = indirect_packages().get(pin.name), pinned_version(pin.requirement)
        required = row.pinned(str(version)) if row and version else ""
        if required and version and version.local and _BUILD.fullmatch(version.local):
            required += f"+{version.local}"  # they come from one index
        if required and (required, pin.markers) not in done:
            done.add((required, pin.markers))
            by = f"{pin.name} {version}"
            where = f"{pin.where} ({by})"
            yield replace(pin, requirement=requirement_of(required), where=where, required_by=by, named=False)


def _met(pin: Pin, required: Pin) -> Pin:
    """Returns an open pin at the version that is required. Raises ValueError where it does not admit that."""
    version = pinned_version(required.requirement)
    if version and version not in pin.requirement.specifier:
        open_one = f"{pin.name} {pin.requirement.specifier}"
        said = f"{required.where} pins {required.name} {version}, and {pin.where} {open_one}"
        raise ValueError(f"{said}: pip installs neither")
    markers = required.markers if any(required.markers) else pin.markers
    return replace(required, indexes=pin.indexes, markers=markers, where=required.where, named=True)
