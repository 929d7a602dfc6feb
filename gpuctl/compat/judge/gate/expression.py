"""The language of NVIDIA_REQUIRE_*, as libnvidia-container evaluates it: the semantics that images were written for.

A space is "or", a comma is "and" and binds tighter. It is lazy: it stops at the first alternative that holds, and
leaves an alternative at its first false factor, so that what is malformed behind is never noticed.
Source: https://github.com/NVIDIA/libnvidia-container, src/cli/dsl.c and src/cli/configure.c
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from gpuctl.frozen import dataclass

MAX_EXPRESSIONS = 32
_LONGEST_FALSE_FACTOR = 127
_SHOWN = 60
_UINTMAX = 2**64 - 1
_MOST_DIGITS = len(str(_UINTMAX))
_FACTOR = re.compile(r"([^<>=!]+)([<>=!]+)([^<>=!].*)", re.DOTALL)
_OPERATORS = {"=": "=", "!=": "!=", "!": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
HOLDS: dict[str, Callable[[int], bool]] = {
    "=": lambda order: order == 0,
    "!=": lambda order: order != 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}


@dataclass(frozen=True)
class Subject:
    """What an expression is evaluated on: the driver and one GPU. None: the host cannot tell.

    `cuda` is the highest CUDA version of the driver, `arch` the compute capability, `brand` NVML's, in lower case.
    """

    cuda: str | None = None
    driver: str | None = None
    arch: str | None = None
    brand: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """What became of an expression. `failed`: of each alternative the factor that was false, each once.

    `assumed`: where it holds by no alternative whose factors are all known, the properties that are not. `error`: why
    it could not be evaluated; `holds` is False then.
    """

    holds: bool
    failed: tuple[str, ...] = ()
    error: str | None = None
    assumed: tuple[str, ...] = ()


class Malformed(ValueError):
    """A factor that the evaluator rejects; the message is a sentence."""


@dataclass(frozen=True)
class _Factor:
    """A factor in its parts; `error` says why it has none."""

    text: str
    name: str = ""
    operator: str = ""
    value: str = ""
    error: str | None = None


@lru_cache(maxsize=4096)
def evaluate(expression: str, subject: Subject) -> Evaluation:
    """Returns whether an expression holds. An empty one does, and so does a factor about what is not known."""
    failed: dict[str, None] = {}
    assumed: tuple[str, ...] = ()
    try:
        for factors in _parsed(expression):
            false = next((factor.text for factor in factors if not _true(factor, subject)), None)
            if false is not None:
                failed[false] = None
            elif factors:
                unknown = unknown_in([factor.name for factor in factors], subject)
                if not unknown:
                    return Evaluation(True)
                assumed = assumed or unknown
            else:  # commas alone end the evaluation, with what came before
                break
    except Malformed as error:
        return Evaluation(bool(assumed), error=None if assumed else str(error), assumed=assumed)
    return Evaluation(True, assumed=assumed) if assumed else Evaluation(not failed, tuple(failed))


def unknown_in(names: Iterable[str], subject: Subject) -> tuple[str, ...]:
    """Returns which of the named properties a subject does not tell, each once."""
    return tuple(name for name in dict.fromkeys(names) if getattr(subject, name) is None)


def quoted(text: str) -> str:
    """Returns a piece of an expression for a message: in quotes, and cut short where it is long."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


@lru_cache(maxsize=64)
def _parsed(expression: str) -> tuple[tuple[_Factor, ...], ...]:
    alternatives = (alternative for alternative in expression.split(" ") if alternative)
    return tuple(tuple(_factor(text) for text in alternative.split(",") if text) for alternative in alternatives)


def _factor(text: str) -> _Factor:
    match = _FACTOR.fullmatch(text)
    if match is None:
        return _Factor(text, error=f"{quoted(text)} is no PROPERTY, OPERATOR and VALUE such as cuda>=12.4")
    name, operator, value = match[1].lower(), _OPERATORS.get(match[2]), match[3]
    if operator is None:
        return _Factor(text, error=f"{quoted(text)} is malformed: {quoted(match[2])} is none of = != < <= > >=")
    if name not in ("cuda", "driver", "arch", "brand"):
        return _Factor(text, error=f"{quoted(text)} is malformed: {quoted(name)} is none of cuda, driver, arch, brand")
    return _Factor(text, name, operator, value.lower() if name == "brand" else value)


def _true(factor: _Factor, subject: Subject) -> bool:
    if factor.error:
        raise Malformed(factor.error)
    known: str | None = getattr(subject, factor.name)
    if known is None:
        return True
    holds = _brand_holds(factor, known) if factor.name == "brand" else _version_holds(factor, known)
    if not holds and len(f"{factor.name} {factor.operator} {factor.value}") > _LONGEST_FALSE_FACTOR:
        raise Malformed(
            f"a false factor of {len(factor.text)} characters is too long to be told: {quoted(factor.text)}"
        )
    return holds


def _brand_holds(factor: _Factor, known: str) -> bool:
    if factor.operator not in ("=", "!="):
        raise Malformed(f"{quoted(factor.text)} is malformed: a brand is compared by = and != only")
    return (known.lower() == factor.value) is (factor.operator == "=")


def _version_holds(factor: _Factor, known: str) -> bool:
    try:
        return HOLDS[factor.operator](compare_versions(known, factor.value))
    except Malformed as error:
        raise Malformed(f"{quoted(factor.text)} is malformed: {error}") from None


@lru_cache(maxsize=4096)
def compare_versions(one: str, other: str) -> int:
    """Returns -1, 0 or 1; missing parts are 0, doubled and trailing dots do not count. Raises Malformed.

    Only the parts up to the first difference are looked at, but each for a number.
    """
    for text in (one, other):
        if text.strip("0123456789."):
            raise Malformed(f"{quoted(text)} is no version of digits and dots")
        if text.startswith("."):
            raise Malformed(f"{quoted(text)} begins with a dot")
    ours, theirs = ([part for part in text.split(".") if part] for text in (one, other))
    for left, right in zip(map(_number, ours), map(_number, theirs), strict=False):
        if left != right:
            return -1 if left < right else 1
    more, less = (any(part.strip("0") for part in rest) for rest in (ours[len(theirs) :], theirs[len(ours) :]))
    return int(more) - int(less)


def _number(part: str) -> int:
    digits = part.lstrip("0") or "0"
    number = int(digits) if len(digits) <= _MOST_DIGITS else _UINTMAX
    if number >= _UINTMAX:
        raise Malformed(f"{quoted(part)} is too large a number")
    return number
