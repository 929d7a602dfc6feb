"""What the API's objects are made of: texts, labels, times, amounts. All raise ValueError where a type is another."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from gpuctl.host.decode import object_in, second, text_in, texts_in
from gpuctl.k8s.fields import LONGEST, MEMBERS
from gpuctl.k8s.objects import Resources
from gpuctl.k8s.quantity import thousandths

Found = Mapping[str, Any]


def kept_text(found: Found, name: str) -> str:
    """Returns a text, as much of it as is kept, "" where there is none."""
    value = found.get(name)
    return value[:LONGEST] if type(value) is str else text_in(found, name) or ""


def kept_texts(found: Found, name: str) -> tuple[str, ...]:
    """Returns a list's texts, as many as are kept."""
    return tuple(one[:LONGEST] for one in texts_in(found, name)[:MEMBERS])


def labels_in(found: Found, name: str = "labels") -> Mapping[str, str]:
    """Returns an object's texts by their names."""
    members = object_in(found, name)
    return {key[:LONGEST]: kept_text(members, key) for key in islice(members, MEMBERS)}


def time_in(found: Found, name: str) -> float | None:
    """Returns a time in seconds since the epoch, None where there is none."""
    text = text_in(found, name)
    return second(text) if text else None


def resources_in(found: Found, name: str) -> Resources:
    """Returns amounts by the resource's name, in thousandths."""
    members = object_in(found, name)
    return {key[:LONGEST]: _quantity(key, value) for key, value in islice(members.items(), MEMBERS)}


def _quantity(key: str, value: Any) -> int:
    """A quantity; the API also takes a number in its place."""
    if type(value) in (int, float):
        value = str(value)
    try:
        return thousandths(value[:LONGEST] if type(value) is str else kept_text({key: value}, key))
    except ValueError as error:
        raise ValueError(f"its {key[:80]}: {error}") from None


def meta_in(found: Found) -> tuple[Found, str, str]:
    """Returns an object's metadata, its namespace and its name."""
    meta = object_in(found, "metadata")
    return meta, kept_text(meta, "namespace"), kept_text(meta, "name")
