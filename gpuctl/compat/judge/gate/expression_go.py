"""The language of NVIDIA_REQUIRE_* as the toolkit's Go code evaluates it: in CSV mode, on Tegra.

It parses all of an expression first. Names are case-sensitive and unknown ones skipped, a brand is a plain string, and
versions are semantic: up to three numbers without leading zeros. What the host cannot tell is older than any version.
Source: https://github.com/NVIDIA/nvidia-container-toolkit, internal/requirements
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gpuctl.compat.judge.gate.expression import HOLDS, Evaluation, Malformed, Subject, quoted, unknown_in
from gpuctl.frozen import dataclass

_OPERATORS = ("!=", "<=", ">=", "=", "<", ">")
_NUMBER = r"(0|[1-9][0-9]*)"
_WORD = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_BUILD = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(
    rf"v?{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}(?:-({_WORD}(?:\.{_WORD})*))?(?:\+{_BUILD})?)?)?", re.ASCII
)

Number = tuple[int, str]
"""How many digits, and which: sorts as the number does, however long it is."""
Order = tuple[tuple[Number, ...], bool, tuple[tuple[bool, int, str], ...]]


@dataclass(frozen=True)
class _Factor:
    text: str
    name: str
    operator: str
    value: str


def evaluate(expression: str, subject: Subject) -> Evaluation:
    """Returns whether an expression holds. One whose factors are all unknown properties does."""
    try:
        alternatives = [factors for part in expression.split(" ") if (factors := _parsed(part))]
    except Malformed as error:
        return Evaluation(False, error=str(error))
    failed = dict[str, None]()
    for factors in alternatives:
        false = next((factor.text for factor in factors if not _true(factor, subject)), None)
        if false is None:
            return Evaluation(True, assumed=unknown_in([factor.name for factor in factors], subject))
        failed[false] = None
    return Evaluation(not alternatives, tuple(failed))


def _parsed(alternative: str) -> list[_Factor]:
    return [factor for text in alternative.split(",") if text.strip() and (factor := _factor(text))]


def _factor(text: str) -> _Factor | None:
    """Returns a factor, None for a property that this evaluator does not know."""
    end = next((place for place, letter in enumerate(text) if letter in "<>=!"), None)
    if end is None:
        raise Malformed(f"{quoted(text)} is no PROPERTY, OPERATOR and VALUE such as cuda>=12.4")
    name, rest = text[:end], text[end:]
    if name not in ("cuda", "driver", "arch", "brand"):
        return None
    operator = next((one for one in _OPERATORS if rest.startswith(one)), "")
    value = rest[len(operator) :]
    if name != "brand" and _VERSION.fullmatch(value) is None:
        raise Malformed(f"{quoted(text)} is malformed: {quoted(value)} is no semantic version")
    return _Factor(text, name, operator, value)


def _true(factor: _Factor, subject: Subject) -> bool:
    holds: Callable[[int], bool] | None = HOLDS.get(factor.operator)
    if holds is None:
        return False
    known = getattr(subject, factor.name) or ""
    if factor.name == "brand":
        return holds((known > factor.value) - (known < factor.value))
    ours, theirs = _order(_without_leading_zeros(known)), _order(factor.value)
    return holds(0 if ours == theirs else -1 if ours is None or (theirs is not None and ours < theirs) else 1)


def _without_leading_zeros(version: str) -> str:
    # The toolkit does this to the driver's version: 418.87.00 is no semantic version, 418.87.0 is.
    return ".".join(part.lstrip("0") or "0" for part in version.split(".")) if version else ""


def _order(version: str) -> Order | None:
    """Returns what sorts as semantic versions do, a pre-release before its release; None for what is no version."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return None
    numbers = tuple((len(digits), digits) for digits in (match[1], match[2] or "0", match[3] or "0"))
    words = match[4].split(".") if match[4] else []
    marked = tuple((True, 0, word) if not word.isdigit() else (False, len(word), word) for word in words)
    return numbers, not words, marked
