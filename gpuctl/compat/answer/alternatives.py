"""Of several that ask one alone is installed, and nothing tells which: they decide where they agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpuctl.compat.ask.asks import Ask
from gpuctl.compat.judge.rulings import Ruling, worst
from gpuctl.model import Reason, Verdict


def settled(asks: Sequence[Ask], by_ask: Sequence[tuple[Ruling, ...]]) -> Iterator[Ruling]:
    """Yields what the rules say of all that ask; of alternatives that fare unlike each other, that they do."""
    verdicts = [worst(ruling.verdict for ruling in rulings) for rulings in by_ask]
    named = dict.fromkeys(ask.one_of for ask in asks if ask.one_of)
    places = {name: [place for place, ask in enumerate(asks) if ask.one_of == name] for name in named}
    split = {name: found for name, found in places.items() if len({verdicts[place] for place in found}) > 1}
    for ask, rulings in zip(asks, by_ask, strict=True):
        if ask.one_of not in split:
            yield from rulings
    for name, found in split.items():
        yield _undecided(name, [(asks[place], verdicts[place]) for place in found])


def _undecided(name: str, fares: Sequence[tuple[Ask, Verdict]]) -> Ruling:
    each = ", ".join(f"{ask.by} is {verdict.value}" for ask, verdict in fares)
    message = f"Which {name} is installed depends on the extras and groups that are chosen: {each}."
    return Ruling(Verdict.UNKNOWN, Reason("build.alternatives", message, fares[0][0].source))
