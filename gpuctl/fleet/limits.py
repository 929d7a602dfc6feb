"""What a run that changes hosts holds to, whoever goes on with it and however little of that is typed again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuctl.bounds import LONGEST_WAIT
from gpuctl.fleet.silence import Share, share
from gpuctl.frozen import dataclass
from gpuctl.host.decode import object_in, text_in, texts_in

_SECONDS = ("pause", "drain_timeout", "host_timeout", "run_timeout")


@dataclass(frozen=True)
class Limits:
    """How many hosts may fail, and checks or layers of which no changed host may fail or warn, before a wave is begun.

    In seconds: `pause` between waves; in `drain_timeout` hosts have to be free that are taken out of service; one step
    on a host may take `host_timeout`, and all hosts together `run_timeout`.
    """

    pause: float = 0.0
    max_fail: str = "0%"
    stop_on: tuple[str, ...] = ()
    drain_timeout: float = 3600.0
    host_timeout: float = 900.0
    run_timeout: float = LONGEST_WAIT

    @property
    def may_fail(self) -> Share:
        """How many hosts may fail."""
        return share(self.max_fail)

    @property
    def checks(self) -> frozenset[str]:
        """The checks of `stop_on`."""
        if not self.stop_on:
            return frozenset()
        from gpuctl.checks.select import select

        return frozenset[str]().union(*map(select, self.stop_on))


def as_document(limits: Limits) -> dict[str, Any]:
    """Returns limits as `limits_in` reads them."""
    seconds = {name: getattr(limits, name) for name in _SECONDS}
    return {**seconds, "max_fail": limits.max_fail, "stop_on": limits.stop_on}


def limits_in(found: Mapping[str, Any], name: str) -> Limits:
    """Returns the limits that are a member of a document; what it does not say is as usual. Raises ValueError."""
    told = object_in(found, name)
    known: dict[str, Any] = {one: _seconds(told, one) for one in _SECONDS if one in told}
    limits = Limits(**known, max_fail=text_in(told, "max_fail") or Limits.max_fail, stop_on=texts_in(told, "stop_on"))
    share(limits.max_fail)
    return limits


def _seconds(found: Mapping[str, Any], name: str) -> float:
    value = found[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LONGEST_WAIT:
        raise ValueError(f"its {name} is no number of seconds up to {LONGEST_WAIT:g}")
    return float(value)
