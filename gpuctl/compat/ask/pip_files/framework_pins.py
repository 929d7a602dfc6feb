"""What the frameworks that a file pins ask for: by their table, their index, and what is pinned beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gpuctl.compat.ask.asks import Ask, unknown_ask
from gpuctl.compat.ask.frameworks import PACKAGES, package_ask, pinned_version, requirement_of
from gpuctl.compat.ask.pip_files.components import component, component_asks
from gpuctl.compat.ask.pip_files.markers import meet
from gpuctl.compat.ask.pip_files.pins import Pin
from gpuctl.compat.knowledge.frameworks import NoCuda, cuda_of_tag

_JAX_PLUGIN = re.compile(r"jax-(cuda[0-9]+)-(?:plugin|pjrt)")
_INDEX_TAG = re.compile(r"/(cu[0-9]{2,3}|cpu|rocm[0-9.]*|xpu)(?:/|$)")
_FROM_ADDRESS = "comes from an address that names no version: give what pip freeze prints where it is installed"
_KINDS = 30
"""Pins with so many different markers are held against each other. No person's file has more."""


def pinned_frameworks(pins: Sequence[Pin]) -> Iterator[Ask]:
    """Yields what frameworks ask for, but for builds without CUDA. Raises ValueError, naming the line, for one that is
    not known here, unless pinned CUDA packages tell in its stead.
    """
    beside = _pinned_beside(pins)
    for pin in pins:
        plugin = _JAX_PLUGIN.fullmatch(pin.name)
        if not plugin and pin.name not in PACKAGES:
            continue
        pinned = beside[pin.markers]
        try:
            yield _plugin_ask(pin, plugin[1]) if plugin else framework_ask(pin, pinned)
        except NoCuda:
            continue
        except ValueError as error:
            if not pinned and not plugin:
                raise type(error)(f"{pin.where}: {error}") from None


def _pinned_beside(pins: Sequence[Pin]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Returns by a pin's markers the CUDA versions that are pinned where it is installed; of very many, all of them."""
    fixed = [pin for pin in pins if component(pin)]
    kinds = {pin.markers for pin in pins}
    if len(kinds) > _KINDS:
        return dict.fromkeys(kinds, tuple(ask.cuda for ask in component_asks(fixed)))
    beside = {kind: [pin for pin in fixed if meet(pin.markers, kind)] for kind in kinds}
    return {kind: tuple(ask.cuda for ask in component_asks(found)) for kind, found in beside.items()}


def framework_ask(pin: Pin, pinned: Sequence[str]) -> Ask:
    """Returns what a framework asks for, beside CUDA versions that are pinned. Raises ValueError as `package_ask`."""
    if pin.requirement.url:
        return unknown_ask(pin.name, f"{pin.name} {_FROM_ADDRESS}.")
    ask = package_ask(pin.requirement, served(pin) if pin.name in ("torch", "pytorch") else "", pinned)
    # It is no release for which another could be taken: what requires it is built for it.
    return replace(ask, by=f"{ask.by} of {pin.required_by}", release=None) if pin.required_by else ask


def served(pin: Pin) -> str:
    """Returns the tag of the index that a package comes from: "cu121"; "" where no index says."""
    tags = [match[1] for match in map(_INDEX_TAG.search, pin.indexes) if match]
    return max(tags, key=lambda tag: (tag.startswith("cu"), len(tag), tag), default="")


def _plugin_ask(pin: Pin, extra: str) -> Ask:
    return replace(package_ask(requirement_of(f"jax[{extra}]{pin.requirement.specifier}")), by=pin.label)


def without_cuda(pin: Pin) -> NoCuda | None:
    """Returns why a pin asks for no CUDA, with its line: a build for something else; None: nothing says that."""
    version = pinned_version(pin.requirement)
    try:
        if pin.name in PACKAGES:
            framework_ask(pin, ())
        cuda_of_tag((version.local or "") if version else "")
    except NoCuda as why:
        return type(why)(f"{pin.where}: {why}")
    except ValueError:
        pass
    return None


def is_unlisted(pin: Pin) -> bool:
    """Returns whether a framework's release or build is one that the table lacks."""
    if pin.name not in PACKAGES:
        return False
    try:
        framework_ask(pin, ())
    except NoCuda:
        return False
    except ValueError:
        return True
    return False
