"""The text of a CDI specification as plain values, from files that anybody may have written.

Engines read JSON and YAML by one YAML reader, whatever the file's name ends in, and of several YAML documents the first
(https://github.com/cncf-tags/container-device-interface, pkg/cdi/spec.go, ParseSpec). Of YAML only what a generator
writes is understood here: an alias could unfold without end, and a tag could ask for more than text.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Dict, List, Tuple

from gpuctl import documents

SIZE_LIMIT = 512 << 10
"""Bytes. A host with 16 GPUs cut into 7 parts each has a quarter of it."""
DEPTH_LIMIT = 32
TOKENS_LIMIT = 60_000
"""Of YAML, which takes a second for so many. The host above has half of it."""
NOTHING = (None, "", "~", "null")
"""What a key without a value reads as."""
_ANY_ORDER = ("devices", "deviceNodes", "mounts", "env", "options")
"""Lists whose order means nothing, unlike that of hooks and their arguments."""


class NotFollowed(ValueError):
    """Engines may take this specification; gpuctl does not follow it."""


def _once_each(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it has one key twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_once_each)


@lru_cache(maxsize=4)
def load(text: str) -> Any:
    """Returns the document that a text is: dicts, lists and text, numbers too where it is JSON. Raises ValueError.

    A run asks several times for the same one, of which nobody changes anything.
    """
    if len(text) > SIZE_LIMIT:
        raise NotFollowed("it is larger than %d KiB" % (SIZE_LIMIT >> 10))
    if not text.lstrip().startswith(("{", "[")):
        return _load_yaml(text)
    try:
        return documents.load_json(text, _DECODER)
    except documents.TooMuch as error:
        raise NotFollowed(str(error)) from None
    except ValueError as error:
        return _load_flow(text, error)


def same(one: str, other: str) -> bool:
    """Returns whether two texts are one specification, however they are laid out. Raises ValueError."""
    return bool(_sorted(load(one)) == _sorted(load(other)))


def _load_flow(text: str, error: ValueError) -> Any:
    """YAML's own way of writing braces; where it is not even that, what is wrong with it as JSON says more."""
    try:
        return _load_yaml(text)
    except NotFollowed:
        raise
    except ValueError:
        raise error from None


def _load_yaml(text: str) -> Any:
    try:
        from ruamel.yaml import YAML
    except ImportError:
        raise NotFollowed("ruamel.yaml is not installed, without which gpuctl reads no YAML") from None
    reader = YAML(typ="base", pure=True)  # base: text, lists and dicts, whatever a tag asks for
    try:
        _check_tokens(reader.scan(text))
        return next(reader.load_all(text), None)
    except NotFollowed:
        raise
    except Exception as error:  # what a hostile text makes of the reader is not always a YAMLError
        mark = getattr(error, "problem_mark", None)
        place = " (line %d, column %d)" % (mark.line + 1, mark.column + 1) if mark else ""
        raise ValueError("it is no YAML%s" % place) from None


def _check_tokens(tokens: Any) -> None:
    from ruamel.yaml import tokens as kinds

    opening = (
        kinds.BlockSequenceStartToken,
        kinds.BlockMappingStartToken,
        kinds.FlowSequenceStartToken,
        kinds.FlowMappingStartToken,
    )
    closing = (kinds.BlockEndToken, kinds.FlowSequenceEndToken, kinds.FlowMappingEndToken)
    depth = 0
    for number, token in enumerate(tokens):
        if number > TOKENS_LIMIT:
            raise NotFollowed("it has more than %d words and signs" % TOKENS_LIMIT)
        depth += isinstance(token, opening) - isinstance(token, closing)
        if depth > DEPTH_LIMIT:
            raise NotFollowed("it is nested more than %d levels deep" % DEPTH_LIMIT)
        if isinstance(token, (kinds.AliasToken, kinds.TagToken)):
            raise NotFollowed("it has a YAML alias or tag, which gpuctl does not follow")


def _sorted(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _sorted(member, name) for name, member in value.items() if member not in NOTHING}
    if isinstance(value, list):
        members = [_sorted(member) for member in value]
        return sorted(members, key=lambda member: json.dumps(member, sort_keys=True)) if key in _ANY_ORDER else members
    return value if value is None else str(value)
