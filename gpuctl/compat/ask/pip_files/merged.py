"""What asks for the same CUDA version, as one: the code of each has to serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from gpuctl.compat.ask.asks import Ask
from gpuctl.compat.ask.frameworks import PACKAGES
from gpuctl.compat.versions import parts

_NAMED_AT_MOST = 3


def merged(
    asks: Sequence[Ask], name: str, alternatives: Mapping[str, str], optional: Set[str] = frozenset()
) -> tuple[Ask, ...]:
    """Returns one ask for each CUDA version, in the name of all who ask for it, and of the file `name`.

    `alternatives` are packages of which one version alone is installed, with what decides which; `optional` those that
    an extra or a group brings.
    """
    minors = {ask.cuda.partition(".")[0]: ask.cuda for ask in asks if "." in ask.cuda}
    # Of one that runs with any minor version what counts there is its own code, beside what says which one it is.
    placed = [replace(ask, cuda=minors[ask.cuda]) if ask.cuda in minors and _has_say(ask) else ask for ask in asks]
    kept = [ask for ask in placed if "." in ask.cuda or ask.cuda not in minors]
    return tuple(
        _one([ask for ask in kept if ask.cuda == cuda], name, alternatives, optional)
        for cuda in dict.fromkeys(ask.cuda for ask in kept)
    )


def _has_say(ask: Ask) -> bool:
    """Whether it is known for which GPUs its build is."""
    return bool(ask.codes or ask.on_arm)


def _one(same: Sequence[Ask], name: str, alternatives: Mapping[str, str], optional: Set[str]) -> Ask:
    """Returns the ask of all who ask for the same CUDA version; the code of each has to serve."""
    named = list(dict.fromkeys(ask.by for ask in same))
    more = f" and {len(named) - _NAMED_AT_MOST} more" if len(named) > _NAMED_AT_MOST else ""
    choices = alternatives.keys() & {_package(ask) for ask in same}
    one_of = min(choices, key=lambda one: (one not in PACKAGES, one), default="")
    return Ask(
        same[0].cuda,
        f"{', '.join(named[:_NAMED_AT_MOST])}{more}{f' in {name}' if name else ''}",
        "; ".join(dict.fromkeys(ask.source for ask in same)),
        next((ask.release for ask in same if ask.release), None),
        tuple(dict.fromkeys(code for ask in same for code in ask.codes)),
        wheel=True,
        from_minor=max((ask.from_minor for ask in same), key=lambda minor: parts(minor or "0")),
        one_of=one_of,
        unjudged=tuple(dict.fromkeys(named for ask in same for named in ask.unjudged)),
        decided_by=alternatives.get(one_of, ""),
        on_arm=next((ask.on_arm for ask in same if ask.on_arm), None),
        unknown=same[0].unknown,
        optional={_package(ask) for ask in same} <= optional,
        constraint=next((ask.constraint for ask in same if ask.release), ""),
    )


def _package(ask: Ask) -> str:
    return ask.by.split(" ")[0].partition("[")[0]
