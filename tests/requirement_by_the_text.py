"""A second evaluator of NVIDIA_REQUIRE_*, written from the description of the language and not from gpuctl's code.

It reads a factor letter by letter, where gpuctl uses a pattern, and compares versions as lists that are made equally
long, where gpuctl stops at the first difference.
"""

from __future__ import annotations

OPERATORS = ("=", "!=", "!", "<", "<=", ">", ">=")
DIGITS = "0123456789"
HUGE = 2**64 - 1


class Broken(Exception):
    pass


def verdict(expression: str, facts: dict[str, str | None]) -> bool | None:
    """True, False, or None for an error."""
    last = True
    for group in expression.split(" "):
        if group == "":
            continue
        try:
            last, judged = _group(group, facts, last)
        except Broken:
            return None
        if last or not judged:
            return last
    return last


def _group(group: str, facts: dict[str, str | None], last: bool) -> tuple[bool, bool]:
    judged = False
    for factor in group.split(","):
        if factor == "":
            continue
        judged = True
        if not _factor(factor, facts):
            return False, True
    return (True, True) if judged else (last, False)


def _factor(factor: str, facts: dict[str, str | None]) -> bool:
    position = 0
    while position < len(factor) and factor[position] not in "=!<>":
        position += 1
    name, rest = factor[:position], factor[position:]
    operator = ""
    while rest and rest[0] in "=!<>":
        operator, rest = operator + rest[0], rest[1:]
    if not name or operator not in OPERATORS or not rest:
        raise Broken
    if operator == "!":
        operator = "!="
    if name.lower() not in ("cuda", "driver", "arch", "brand"):
        raise Broken
    fact = facts.get(name.lower())
    if fact is None:
        return True
    holds = _brand(fact, operator, rest) if name.lower() == "brand" else _version(fact, operator, rest)
    if not holds and len(name) + len(operator) + len(rest) + 2 >= 128:
        raise Broken
    return holds


def _brand(fact: str, operator: str, wanted: str) -> bool:
    if operator == "=":
        return fact.lower() == wanted.lower()
    if operator == "!=":
        return fact.lower() != wanted.lower()
    raise Broken


def _version(fact: str, operator: str, wanted: str) -> bool:
    ours, theirs = _parts(fact), _parts(wanted)
    for number in range(min(len(ours), len(theirs))):
        if ours[number] >= HUGE or theirs[number] >= HUGE:
            raise Broken
        if ours[number] != theirs[number]:
            break
    longest = max(len(ours), len(theirs))
    ours += [0] * (longest - len(ours))
    theirs += [0] * (longest - len(theirs))
    return {
        "=": ours == theirs,
        "!=": ours != theirs,
        "<": ours < theirs,
        "<=": ours <= theirs,
        ">": ours > theirs,
        ">=": ours >= theirs,
    }[operator]


def _parts(text: str) -> list[int]:
    if any(letter not in DIGITS + "." for letter in text) or text[0] == ".":
        raise Broken
    return [int(part) for part in text.split(".") if part != ""]
