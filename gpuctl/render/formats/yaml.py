"""What gpuctl writes as YAML: objects of Kubernetes, as `kubectl create -f -` takes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def as_yaml(documents: Iterable[Mapping[str, Any]]) -> str:
    """Returns the documents in block style; texts are JSON's, which YAML reads as they are."""
    return "---\n".join("".join(f"{line}\n" for line in _lines(one, "")) for one in documents)


def _lines(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, one in value.items():
        if isinstance(one, Mapping) and one:
            yield f"{indent}{_key(key)}:"
            yield from _lines(one, indent + "  ")
        elif isinstance(one, list) and one and isinstance(one[0], Mapping):
            yield f"{indent}{_key(key)}:"
            for item in one:
                first, *rest = _lines(item, indent + "    ")
                yield f"{indent}  - {first.lstrip()}"
                yield from rest
        else:
            yield f"{indent}{_key(key)}: {json.dumps(one, ensure_ascii=True)}"


def _key(key: str) -> str:
    return key if key.isalnum() else json.dumps(key)
