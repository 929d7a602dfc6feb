"""Packages that ask through what they pull in, and the code that packages have of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

from gpuctl.compat.ask.asks import Ask, OwnCode, unknown_ask
from gpuctl.compat.ask.frameworks import PACKAGES, pinned_version
from gpuctl.compat.ask.pip_files.components import CUDA_IN_NAME
from gpuctl.compat.ask.pip_files.framework_pins import is_unlisted, served
from gpuctl.compat.ask.pip_files.pins import Pin
from gpuctl.compat.knowledge.frameworks import NoCuda, cuda_of_tag
from gpuctl.compat.knowledge.indirect import indirect_packages
from gpuctl.compat.knowledge.package_code import ReleaseCode, is_of_every_release, release_code
from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class Before:
    """What is installed before a file's pins: names that count, the code of some, and those whose code is not known."""

    there: frozenset[str] = frozenset()
    own: tuple[OwnCode, ...] = ()
    unjudged: tuple[str, ...] = ()


NOTHING_BEFORE = Before()


def indirect_asks(pins: Sequence[Pin], is_told: bool, beside: Set[str] = frozenset()) -> Iterator[Ask]:
    """Yields those that ask through what they pull in, where neither that is there beside them nor a tag of theirs.

    `is_told`: others tell a CUDA version, which is that of what makes its code where it runs. One that alone brings
    what it pulls in may not run where nothing is known of its own code.
    """
    there = {pin.name for pin in pins} | beside
    brought = {pin.required_by for pin in pins if not pin.named}
    for pin in pins:
        row, version = indirect_packages().get(pin.name), pinned_version(pin.requirement)
        if not row or (version and version.local) or (is_told and (row.made_there or (row.own_code and not row.pulls))):
            continue
        if there & set(row.pulls):
            own = _own_code(pin)
            if f"{pin.name} {version}" in brought and row.own_code and not (own and own.is_read):
                why = row.why_partly_known(row.pinned(str(version)).replace("==", " "))
                yield unknown_ask(pin.label, f"{pin.label} {why}.", row.source)
            continue
        told = row.cuda_of_post(version) if version else None
        if not told and not row.pulls and served(pin).startswith("cu"):
            told = cuda_of_tag(served(pin))
        if told:
            yield Ask(told, pin.label, row.source, wheel=True)
        else:
            yield unknown_ask(pin.label, f"{pin.label} {row.why_unknown}.", row.source)


def with_own_code(
    asks: tuple[Ask, ...], pins: Sequence[Pin], by_choice: Set[str], before: Before = NOTHING_BEFORE
) -> tuple[Ask, ...]:
    """Returns what asks, and with it what packages need of a GPU for code of their own: with torch, or with the first.

    Those of which that is not known are named, but for those that are unknown altogether; so are those of `by_choice`,
    which may not be installed.
    """
    torch = next((ask for ask in asks if ask.release and ask.release.framework == "pytorch"), None)
    bearer = torch or next((ask for ask in asks if ask.cuda), next(iter(asks), None))
    if bearer is None:
        return asks
    known = {pin: code for pin in pins if pin.name not in by_choice and (code := _own_code(pin))}
    own = (*before.own, *(OwnCode(pin.label, code) for pin, code in known.items()))
    is_told = bool(bearer.cuda)
    unknown = {ask.by for ask in indirect_asks(pins, is_told, before.there) if ask.unknown}
    # Of one from an address without a version the code that it has for newer GPUs is as little known.
    judged = {pin for pin in known if pin.version or not pin.requirement.url}
    named = dict.fromkeys(pin.label for pin in pins if pin not in judged and _has_own_code(pin))
    unlisted = (pin.label for pin in pins if is_unlisted(pin))
    unjudged = [label for label in named if label not in unknown]
    if is_told:
        unjudged = [*before.unjudged, *unjudged, *unlisted]
    return tuple(replace(ask, beside=own, beside_unjudged=tuple(unjudged)) if ask is bearer else ask for ask in asks)


def _has_own_code(pin: Pin) -> bool:
    """Returns whether a package has kernels of its own; of one that no table has a tag for CUDA says that it does."""
    row = indirect_packages().get(CUDA_IN_NAME.sub("", pin.name))
    if row or pin.name in PACKAGES:
        return bool(row and row.own_code)
    try:
        return bool(cuda_of_tag(pin.version.partition("+")[2]))
    except NoCuda:
        return False


def _own_code(pin: Pin) -> ReleaseCode | None:
    """Returns the code that a package has of its own; None where that or its release is not known."""
    at_least = all(clause.operator in (">", ">=", "!=") for clause in pin.requirement.specifier)
    package = CUDA_IN_NAME.sub("", pin.name)
    is_told = pin.version or is_of_every_release(package) or (pin.is_newest if pin.requirement.url else at_least)
    if not is_told:
        return None
    is_wheel = not pin.requirement.url and "+" not in pin.version
    return release_code(package, pin.version or None, is_wheel)
