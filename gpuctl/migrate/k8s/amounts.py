"""How many GPUs a manifest asks for: limits of nvidia.com/gpu, whole, and not below what is requested.

https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from gpuctl.engines.yaml.places import YamlKind, YamlNode
from gpuctl.frozen import dataclass
from gpuctl.migrate.draft import Draft
from gpuctl.migrate.tree import Place

NEW, OLD = "nvidia.com/gpu", "alpha.kubernetes.io/nvidia-gpu"
_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(m?)")
_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
_WHY_OLD = "Kubernetes 1.11 took the alpha resource away; the device plugin offers nvidia.com/gpu"
_WHY_WHOLE = "a GPU is given whole; parts of one are for MIG, MPS or time-slicing to offer"
_WHY_EQUAL = "the limit says it: a request unlike it is refused"
_WHY_LIMIT = "GPUs are asked for by their limit; a request alone is refused"
_KEEP_WORDS = "this is no number of GPUs"


@dataclass(frozen=True)
class Amount:
    """A number of GPUs as it is written: `whole` is None where it is no number."""

    place: Place
    whole: int | None

    @property
    def is_whole(self) -> bool:
        """Whether Kubernetes takes it as it is written."""
        return self.whole is not None and _exact(self.place.text) == self.whole


@dataclass(frozen=True)
class Amounts:
    """What a mapping with `limits` and `requests` says of GPUs; all are None where it says nothing."""

    limit: Amount | None = None
    old_limit: Amount | None = None
    request: Amount | None = None
    old_request: Amount | None = None

    @property
    def first(self) -> Amount | None:
        """The one that counts."""
        return self.limit or self.old_limit or self.request or self.old_request


def amounts(draft: Draft, resources: YamlNode) -> Amounts:
    """Returns what a container's resources say of GPUs."""
    return Amounts(*(_amount(draft, resources, key, name) for key in ("limits", "requests") for name in (NEW, OLD)))


def _amount(draft: Draft, resources: YamlNode, key: str, name: str) -> Amount | None:
    place = draft.tree.field(resources, key, name)
    return Amount(place, _whole(place.text)) if place and place.value.kind is YamlKind.SCALAR else None


def _exact(text: str) -> Fraction | None:
    found = _QUANTITY.fullmatch(text.strip())
    return Fraction(found[1]) / (1000 if found[2] else 1) if found and len(text) < 20 else None


def _whole(text: str) -> int | None:
    exact = _exact(text)
    return _WORDS.get(text.strip().lower()) if exact is None else math.ceil(exact)


def rewrite_amounts(draft: Draft, resources: YamlNode, said: Amounts) -> bool:
    """Has a mapping ask by a whole limit of nvidia.com/gpu. Returns whether it does so then."""
    first = said.first
    if first is None:
        return False
    if first.whole is None:
        draft.leave(first.place.written, _KEEP_WORDS)
        return False
    if said.limit is None and said.old_limit is None:
        _add_limit(draft, resources, first.whole, _WHY_LIMIT)
    for amount, is_old in ((said.limit, False), (said.old_limit, True)):
        if amount and amount is not first:
            draft.remove(amount.place, _WHY_OLD)
        elif amount and (is_old or not amount.is_whole):
            draft.replace(amount.place, NEW, _value(amount, first.whole), _WHY_OLD if is_old else _WHY_WHOLE)
    if said.old_request:
        draft.remove(said.old_request.place, _WHY_OLD)
    if said.request and (said.request.whole != first.whole or not said.request.is_whole):
        draft.remove(said.request.place, _WHY_EQUAL)
    return first.whole > 0


def _value(amount: Amount, whole: int) -> int | str:
    return whole if amount.place.value.is_plain else str(whole)


def add_limit(draft: Draft, container: YamlNode, number: int, why: str) -> None:
    """Has a container ask for so many GPUs that says nothing of them yet."""
    resources = draft.tree.field(container, "resources")
    if resources is None or resources.value.kind is not YamlKind.MAPPING:
        if resources is None:
            draft.add(container, "resources", {"limits": {NEW: number}}, why)
        else:
            draft.replace(resources, "resources", {"limits": {NEW: number}}, why)
    else:
        _add_limit(draft, resources.value, number, why)


def _add_limit(draft: Draft, resources: YamlNode, number: int, why: str) -> None:
    limits = draft.tree.field(resources, "limits")
    if limits is None:
        draft.add(resources, "limits", {NEW: number}, why)
    elif limits.value.kind is YamlKind.MAPPING:
        draft.add(limits.value, NEW, number, why)
    else:
        draft.replace(limits, "limits", {NEW: number}, why)
