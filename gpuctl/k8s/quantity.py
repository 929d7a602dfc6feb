"""Kubernetes' quantities: 64, 500m, 1e3, 512Gi.

Source: https://github.com/kubernetes/apimachinery/blob/master/pkg/api/resource/quantity.go
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_QUANTITY = re.compile(
    r"([+-]?)(?=\.?[0-9])([0-9]{0,40})(?:\.([0-9]{0,40}))?(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,4}))?"
)
_DECIMAL: Mapping[str, int] = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Mapping[str, int] = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_MOST = (1 << 63) - 1
"""Kubernetes' own bound: what is larger counts as this many."""
_EXPONENT = 60


@lru_cache(maxsize=4096)
def thousandths(text: str) -> int:
    """Returns a quantity in thousandths, rounded away from zero as Kubernetes does. Raises ValueError for none.

    500m
    """
    found = _QUANTITY.fullmatch(text)
    if not found:
        raise ValueError(f"{text[:40]!r} is no quantity")
    sign, whole, fraction, suffix, exponent = found.groups()
    power = _DECIMAL.get(suffix or "", int(exponent or 0)) - len(fraction or "") + 3
    power = max(-3 * _EXPONENT, min(power, _EXPONENT))
    value = int(f"{whole}{fraction or ''}") << _BINARY.get(suffix or "", 0)
    rounded: int = value * 10**power if power >= 0 else -(-value // 10**-power)
    return (-1 if sign == "-" else 1) * min(rounded, _MOST * 1000)


def amount(name: str, value: int) -> str:
    """Returns thousandths of a resource for people: 64, 0.5, and of bytes 512Gi."""
    if value % 1000:
        return f"{value / 1000:g}"
    whole = value // 1000
    if name in ("memory", "ephemeral-storage") or name.startswith("hugepages-"):
        unit = next((unit for unit, bits in reversed(list(_BINARY.items())) if whole >= 1 << bits), "")
        scaled = whole / (1 << _BINARY.get(unit, 0))
        return f"{scaled:.1f}".removesuffix(".0") + unit
    return str(whole)
