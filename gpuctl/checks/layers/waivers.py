"""Do the waivers of the configuration still say what is accepted here, why and until when?"""

from __future__ import annotations

from collections.abc import Callable

from gpuctl.checks.engine import CHECKS, Judgement, check, passed, warned
from gpuctl.checks.select import chosen
from gpuctl.checks.waiving import has_expired, is_complete, waivers_here
from gpuctl.facts.own.configuration import Configuration, WrittenWaiver
from gpuctl.model import Evidence, Remedy


@check("waivers.complete")
def complete(configuration: Configuration) -> Judgement:
    """A waiver without a reason or a date holds for ever and nobody knows why: gpuctl does not go by it."""
    return _judge(
        configuration,
        lambda one: not is_complete(one),
        "Every waiver names a check, a reason and a date",
        "A waiver does not name id, reason and expires, and does not hold: ",
        "Give it what it lacks",
    )


@check("waivers.known")
def known(configuration: Configuration) -> Judgement:
    """A waiver of a check that gpuctl does not have waives nothing: its id may be misspelt.

    The checks of waivers cannot be waived themselves.
    """
    return _judge(
        configuration,
        lambda one: bool(one.id) and (one.id not in chosen() or CHECKS[one.id].layer == "waivers"),
        "Every waiver names a check that can be waived",
        "A waiver names a check that gpuctl does not have, or cannot waive: ",
        "Correct its id, as `gpuctl doctor -v` shows it, or remove it",
    )


@check("waivers.expired")
def expired(configuration: Configuration) -> Judgement:
    """What was accepted until a day that is over counts again: somebody wanted to be asked on that day."""
    return _judge(
        configuration,
        lambda one: is_complete(one) and has_expired(one),
        "No waiver has expired",
        "A waiver has expired, and what it waived counts again: ",
        "Mend what it waived and remove it, or give it another date",
    )


def _judge(
    configuration: Configuration, wrong: Callable[[WrittenWaiver], bool], good: str, bad: str, remedy: str
) -> Judgement:
    found = [one for one in waivers_here(configuration) if wrong(one)]
    if not found:
        return passed(good, Evidence(configuration.files.source, f"{len(configuration.waivers)} waivers"))
    places = ", ".join(dict.fromkeys(one.place for one in found))
    names = ", ".join(dict.fromkeys(one.id or "one without an id" for one in found))
    seen = (Evidence(one.place, f"{one.id}, until {one.expires}: {one.reason}") for one in found)
    return warned(f"{bad}{names}.", *seen, remedy=Remedy(f"{remedy}, in {places}."))
