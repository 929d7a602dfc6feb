"""One file brought to many hosts, a piece at a time: who has a part of it gets the rest."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import closing

from gpuctl.fleet.asking import Asking, outcomes
from gpuctl.fleet.payload import Call
from gpuctl.fleet.run_folder import HostOutcome
from gpuctl.frozen import dataclass
from gpuctl.host.act.parcel import place_of
from gpuctl.host.decode import number_in, parse_object, text_in

DOOR = "gpuctl.host.act.parcel"
PIECE = 4 << 20
"""Bytes. Each takes one run of Ansible's, and a third more as it goes."""
TRIES = 3
"""How often it is begun anew with a host that does not answer, or takes nothing."""
NO_FURTHER = "It takes nothing more of the file."
AskBy = Callable[[Call], Asking]
"""Makes a way of asking hosts of a call."""


@dataclass(frozen=True)
class Parcel:
    """A file, and its SHA-256."""

    raw: bytes
    sha256: str

    @property
    def place(self) -> str:
        """Where it is to lie on each host."""
        return place_of(self.sha256)


@dataclass(frozen=True)
class Supplies:
    """What hosts get besides: a single file of gpuctl in base64, "" for none, and a bundle of the toolkit."""

    zipapp: str = ""
    bundle: Parcel | None = None


def parcel(raw: bytes) -> Parcel:
    """Returns a file as it is brought to hosts."""
    return Parcel(raw, hashlib.sha256(raw).hexdigest())


def brought(parcel: Parcel, hosts: Sequence[str], ask_by: AskBy) -> dict[str, str]:
    """Brings a file to hosts, each of which verifies it, and returns to which it could not be, and why.

    Raises what asking raises.
    """
    size = len(parcel.raw)
    look = Call("Looks for a file", DOOR, "held", (parcel.sha256, size))
    problems = dict.fromkeys(hosts, "")
    for _ in range(TRIES):
        there, problems = _asked(tuple(problems), look, ask_by)
        problems.update(_sent(parcel, {host: bytes for host, bytes in there.items() if bytes < size}, ask_by))
        if not problems:
            break
    return problems


def _sent(parcel: Parcel, there: dict[str, int], ask_by: AskBy) -> dict[str, str]:
    """Sends hosts what they lack, those first that lack most; returns which have not got all of it, and why.

    `there`: how many bytes each has.
    """
    problems: dict[str, str] = {}
    while there:
        begin = min(there.values())
        some = tuple(host for host, bytes in there.items() if bytes == begin)
        piece = b64encode(parcel.raw[begin : begin + PIECE]).decode("ascii")
        call = Call("Takes a piece of a file", DOOR, "taken", (parcel.sha256, len(parcel.raw), begin, piece))
        now, lost = _asked(some, call, ask_by)
        problems.update(lost)
        for host in some:
            bytes = now.get(host, -1)
            del there[host]
            if begin < bytes < len(parcel.raw):
                there[host] = bytes
            elif host not in lost and bytes <= begin:
                problems[host] = NO_FURTHER
    return problems


def _asked(hosts: Sequence[str], call: Call, ask_by: AskBy) -> tuple[dict[str, int], dict[str, str]]:
    """How many bytes each host says that it has, and why others do not say."""
    there: dict[str, int] = {}
    problems: dict[str, str] = {}
    with closing(outcomes(hosts, ask_by(call))) as coming:
        for outcome, raw in coming:
            try:
                there[outcome.host] = _bytes(outcome, raw)
            except ValueError as error:
                problems[outcome.host] = str(error)
    return there, problems


def _bytes(outcome: HostOutcome, raw: bytes | None) -> int:
    if raw is None:
        raise ValueError(outcome.detail or f"It is {outcome.state.value}.")
    told = parse_object(raw)
    bytes, problem = number_in(told, "bytes"), text_in(told, "problem")
    if problem or bytes is None:
        raise ValueError(problem or "It does not say what it has of the file.")
    return bytes
