"""What gpuctl put into a file that is others' as well, and how it is taken out again: a three-way merge of values.

Documents are nested dicts here, whatever they are written in. A value that gpuctl sets is one unit: a runtime's entry
as a whole, or a single setting.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

Keys = tuple[str, ...]
"""The keys that lead to a value."""


class Removed(Enum):
    """The value of a key that is not there."""

    REMOVED = "removed"


REMOVED = Removed.REMOVED
Value = tuple[Keys, Any]
"""What keys lead to, or shall lead to: REMOVED for nothing."""
Values = Sequence[Value]
_RUNTIMES = "runtimes"


class Conflict(Exception):
    """Somebody has changed what gpuctl had set. The message says which value, in sentences."""


def value_at(document: Any, keys: Keys) -> Any:
    """Returns what the keys lead to, REMOVED where that is nothing."""
    for key in keys:
        if not isinstance(document, Mapping) or key not in document:
            return REMOVED
        document = document[key]
    return document


def same(one: Any, other: Any) -> bool:
    """Returns whether two values are one: 1, 1.0 and true are three, and nan is nan."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other or (one != one and other != other))


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Values:
    """Returns the values of `after` that are not those of `before`, unit by unit."""
    return tuple((keys, value_at(after, keys)) for keys in _differing(before, after, ()))


def _differing(before: Any, after: Any, above: Keys) -> Iterator[Keys]:
    for key in {**before, **after}:
        keys, old, new = (*above, key), before.get(key, REMOVED), after.get(key, REMOVED)
        is_unit = bool(above) and above[-1] == _RUNTIMES
        if isinstance(new, Mapping) and (old is REMOVED or isinstance(old, Mapping)) and not is_unit:
            yield from _differing({} if old is REMOVED else old, new, keys)
        elif not same(old, new):
            yield keys


def taken_out(set_by_us: Values, before: Mapping[str, Any], now: Mapping[str, Any]) -> Values:
    """Returns the values by which `now` loses what gpuctl had set, and regains what that stood in the place of.

    Objects that came to be with gpuctl's values go with them, once nothing else is in them. Raises Conflict.
    """
    for keys, new in set_by_us:
        if not any(same(value_at(now, keys), known) for known in (new, value_at(before, keys))):
            raise Conflict(f"{'.'.join(keys)} is {_shown(value_at(now, keys))} now, and gpuctl had set {_shown(new)}.")
    old = ((keys, value_at(before, keys)) for keys, _ in set_by_us)
    back = [(keys, value) for keys, value in old if not same(value_at(now, keys), value)]
    left = copy.deepcopy(dict(now))
    for keys, value in back:
        _put(left, keys, value)
    emptied = {keys[:depth] for keys, value in back if value is REMOVED for depth in range(1, len(keys))}
    for keys in sorted(emptied, key=len, reverse=True):
        if value_at(before, keys) is REMOVED and value_at(left, keys) == {}:
            _put(left, keys, REMOVED)
            back = [(other, value) for other, value in back if other[: len(keys)] != keys] + [(keys, REMOVED)]
    return tuple(back)


def of_others(set_by_us: Values, now: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns `now` without what gpuctl had set and nobody has changed since, and without empty objects."""
    left = copy.deepcopy(dict(now))
    for keys, value in set_by_us:
        if same(value_at(left, keys), value):
            _put(left, keys, REMOVED)
    return pruned(left)


def pruned(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns it without the objects in which nothing is."""
    inner = {key: pruned(value) if isinstance(value, Mapping) else value for key, value in document.items()}
    return {key: value for key, value in inner.items() if value != {}}


def _put(document: dict[str, Any], keys: Keys, value: Any) -> None:
    for key in keys[:-1]:
        document = document.setdefault(key, {})
    if value is REMOVED:
        document.pop(keys[-1], None)
    else:
        document[keys[-1]] = value


def _shown(value: Any) -> str:
    return "not there" if value is REMOVED else json.dumps(value, ensure_ascii=False, default=str)
