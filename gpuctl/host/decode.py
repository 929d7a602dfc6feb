"""What others have written, as values of the types that are asked for.

A member that is not there, or null, is None or empty. Every function raises ValueError where it finds another type:
the message names the member and what it is. Numbers are whole, and fit 64 bits: JSON itself sets them no bound.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, NoReturn, Optional, Tuple, Union

LAST_SECOND = 253_370_764_800
"""The end of the year 9998, in seconds since the epoch: in the next one calendars end."""
_MOST = 1 << 64
_WHOLE = re.compile(r"[0-9]{1,15}")
_DOTTED = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,9}")
_TYPES = ((bool, "true or false"), (int, "a number"), (float, "a number"), (str, "a text"), (list, "a list"))


def parse(text: Union[str, bytes]) -> Any:
    """Returns what a JSON text says. Half of a surrogate pair, which JSON can hold and no output can, becomes "?".

    {"Version": "20.10.24+dfsg1", "ApiVersion": "1.41"}
    """
    try:
        written = text if isinstance(text, str) else text.decode()
        value = json.loads(written, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise ValueError("it is not JSON") from None
    if "\\ud" in written.lower():
        value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return value


def parse_object(text: Union[str, bytes]) -> Dict[str, Any]:
    """Returns the JSON object that a text is."""
    value = parse(text)
    return value if isinstance(value, dict) else _misfit("it", value, "an object")


def text_in(found: Mapping[str, Any], name: str) -> Optional[str]:
    """Returns a member that is a text."""
    value = found.get(name)
    return value if value is None or isinstance(value, str) else _misfit(name, value, "a text")


def number_in(found: Mapping[str, Any], name: str, most: int = _MOST) -> Optional[int]:
    """Returns a member that is a whole number from 0 to below `most`."""
    value = found.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        _misfit(name, value, "a whole number")
    if not 0 <= value < most:
        raise ValueError("%s is out of range" % name)
    return value


def flag_in(found: Mapping[str, Any], name: str) -> Optional[bool]:
    """Returns a member that is true or false."""
    value = found.get(name)
    return value if value is None or isinstance(value, bool) else _misfit(name, value, "true or false")


def object_in(found: Mapping[str, Any], name: str) -> Dict[str, Any]:
    """Returns a member that is an object."""
    value = found.get(name)
    return {} if value is None else value if isinstance(value, dict) else _misfit(name, value, "an object")


def list_in(found: Mapping[str, Any], name: str) -> List[Any]:
    """Returns a member that is a list."""
    value = found.get(name)
    return [] if value is None else value if isinstance(value, list) else _misfit(name, value, "a list")


def texts_in(found: Mapping[str, Any], name: str) -> Tuple[str, ...]:
    """Returns a member that is a list of texts."""
    return tuple(
        one if isinstance(one, str) else _misfit("a member of " + name, one, "a text") for one in list_in(found, name)
    )


def objects(values: Any, name: str) -> Tuple[Dict[str, Any], ...]:
    """Returns a list of objects, which goes by that name."""
    listed = values if isinstance(values, list) else _misfit(name, values, "a list")
    return tuple(one if isinstance(one, dict) else _misfit("a member of " + name, one, "an object") for one in listed)


def whole(text: str) -> int:
    """Returns the whole number that a text is in decimal digits.

    812
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError("%.20r is no whole number" % text)
    return int(text)


def dotted(text: str) -> str:
    """Returns a version, which is numbers with dots between them.

    535.161.08
    """
    if not _DOTTED.fullmatch(text):
        raise ValueError("%.40r is no version" % text)
    return text


def moment(text: str) -> float:
    """Returns the time that a text is, in seconds since the epoch.

    1764000000.132
    """
    seconds = float(text)
    if not 0 <= seconds < LAST_SECOND:
        raise ValueError("%.20r is no time" % text)
    return seconds


def _refuse(constant: str) -> NoReturn:
    raise ValueError("%s is not JSON" % constant)


def _misfit(name: str, value: Any, wanted: str) -> NoReturn:
    found = "null" if value is None else next((words for kind, words in _TYPES if isinstance(value, kind)), "an object")
    raise ValueError("%s is %s, not %s" % (name, found, wanted))
