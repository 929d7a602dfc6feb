"""Of what asks some is installed by choice alone, and nothing tells what was chosen: it decides where all agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gpuctl.compat.ask.asks import Ask
from gpuctl.compat.judge.rulings import Ruling, worst
from gpuctl.model import Reason, Verdict

_NO = (Verdict.INCOMPATIBLE, Verdict.NEEDS_PACKAGE)


def settled(asks: Sequence[Ask], by_ask: Sequence[tuple[Ruling, ...]]) -> Iterator[Ruling]:
    """Yields what the rules say of all that ask; of what is chosen and would decide otherwise, that it does."""
    verdicts = [worst(ruling.verdict for ruling in rulings) for rulings in by_ask]
    named = dict.fromkeys(ask.one_of for ask in asks if ask.one_of)
    places = {name: [place for place, ask in enumerate(asks) if ask.one_of == name] for name in named}
    split = {name: found for name, found in places.items() if len({verdicts[place] for place in found}) > 1}
    always = [[place] for place, ask in enumerate(asks) if not ask.optional and not ask.one_of]
    always += [found for found in places.values() if not all(asks[place].optional for place in found)]
    # One of several builds is meant to be chosen; what a single extra brings may be left out.
    a_choice_runs = _one_runs(verdicts) if places else True
    is_open = a_choice_runs and all(_one_runs(verdicts[place] for place in found) for found in always)
    for ask, verdict, rulings in zip(asks, verdicts, by_ask, strict=True):
        if ask.one_of in split:
            continue
        if ask.optional and is_open and verdict in _NO:
            yield _by_choice(ask, verdict)
        else:
            yield from rulings
    for name, found in split.items():
        yield _undecided(name, [(asks[place], verdicts[place]) for place in found])
    yield from dict.fromkeys(_without_cuda(ask) for ask in asks if ask.without_cuda)
    yield from (_parted(said) for ask in asks for said in ask.parted)


def _one_runs(verdicts: Iterable[Verdict]) -> bool:
    """Returns whether there is a choice that is no sure no."""
    return any(verdict not in _NO for verdict in verdicts)


def _by_choice(ask: Ask, verdict: Verdict) -> Ruling:
    message = f"Whether {ask.by} is installed depends on the extras and groups that are chosen: it is {verdict.value}."
    return Ruling(Verdict.UNKNOWN, Reason("build.by-choice", message, ask.source))


def _without_cuda(ask: Ask) -> Ruling:
    others = ", ".join(ask.without_cuda)
    message = f"Which {ask.one_of} is installed depends on {ask.decided_by}: {others} asks for no CUDA."
    return Ruling(Verdict.COMPATIBLE, Reason("build.without-cuda", message, "the tags of the builds"))


def _parted(said: str) -> Ruling:
    return Ruling(Verdict.COMPATIBLE, Reason("build.parted", said, "what each release's metadata on PyPI requires"))


def _undecided(name: str, fares: Sequence[tuple[Ask, Verdict]]) -> Ruling:
    each = ", ".join(f"{ask.by} is {verdict.value}" for ask, verdict in fares)
    message = f"Which {name} is installed depends on {fares[0][0].decided_by}: {each}."
    return Ruling(Verdict.UNKNOWN, Reason("build.alternatives", message, fares[0][0].source))
