"""A run: every wanted host is asked, ends in exactly one state, and is handed on the moment it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

from gpuctl import __version__
from gpuctl.fleet.ansible import Access, Answer, EngineProblem, Play, Target, answers, named_and_asked
from gpuctl.fleet.payload import Call, Payload, calling
from gpuctl.fleet.run_folder import HostOutcome, State, add_host
from gpuctl.fleet.states import Again, Told
from gpuctl.frozen import dataclass

Asking = Callable[[Sequence[str], bool], Iterator[Answer]]
"""Asks hosts, by an open connection (pipelining) or without, and yields what each answers."""
WITHOUT = "Its sudo wants a terminal (requiretty): it was asked without pipelining, which takes longer."
NOT_LISTED = "The inventory has no such host any more."
UNANSWERED = "Nothing came back from it before the run's end."


@dataclass(frozen=True)
class Way:
    """Whom to ask, and how they are entered, until when (a moment of time.monotonic).

    `payload` gives what travels to them: it may still be in the making.
    """

    target: Target
    access: Access
    end: float
    payload: Callable[[], Payload]

    def ask_by(self, call: Call) -> Asking:
        """Returns how hosts are asked of a call."""
        play = self._play(call)
        return lambda hosts, pipelining: answers(replace(play, pipelining=pipelining), hosts)

    @contextmanager
    def asking(self, call: Call) -> Iterator[tuple[tuple[str, ...], Asking]]:
        """Gives the hosts that are meant, and how they are asked: of this call, at once. Raises EngineProblem."""
        with named_and_asked(self._play(call)) as (hosts, coming):
            under_way, ask_again = iter((coming,)), self.ask_by(call)
            yield hosts, lambda some, pipelining: next(under_way, None) or ask_again(some, pipelining)

    def _play(self, call: Call) -> Play:
        module = calling(self.payload(), __version__, self.access.deadline, call)
        return Play(self.target, self.access, module, self.end)


@dataclass(frozen=True)
class Entry:
    """Hosts by the names of the inventory, in its order, and the way to them."""

    hosts: tuple[str, ...]
    way: Way

    def ask_by(self, call: Call) -> Asking:
        """Returns how hosts are asked of a call: of one that the inventory has not, it says so."""
        listed, ask = set(self.hosts), self.way.ask_by(call)

        def asking(hosts: Sequence[str], pipelining: bool) -> Iterator[Answer]:
            yield from ((host, Told(State.UNREACHABLE, NOT_LISTED)) for host in hosts if host not in listed)
            yield from ask(tuple(host for host in hosts if host in listed), pipelining)

        return asking


def outcomes(hosts: Sequence[str], ask: Asking) -> Generator[tuple[HostOutcome, bytes | None], None, None]:
    """Yields how each host ended, and its snapshot if it has reported. Raises what asking raises.

    What has answered nothing is asked once more, and so is, without pipelining, whose sudo wants a terminal.
    """
    left = dict.fromkeys(hosts)
    again: dict[str, Again] = {}
    for host, answer in ask(hosts, True):
        if answer.again:
            again[host] = answer.again
        elif host in left:  # the first answer counts: a second event of a host is none of ours
            del left[host]
            yield _ended(host, answer)
    why = UNANSWERED
    mute = [host for host in left if again.get(host) is not Again.NO_TTY]
    without_tty = [host for host in left if again.get(host) is Again.NO_TTY]
    for asked, pipelining, note in ((mute, True, ""), (without_tty, False, WITHOUT)):
        try:
            for host, answer in ask(asked, pipelining) if asked else ():
                if host in left:
                    del left[host]
                    yield _ended(host, replace(answer, detail=answer.detail or note))
        except EngineProblem as problem:  # what the others said stands
            why = str(problem)
    for host in left:
        yield _ended(host, Told(State.LOST, why))


def record(folder: str, hosts: Sequence[str], ask: Asking, tell: Callable[[HostOutcome], None]) -> None:
    """Asks hosts, and keeps in a run's folder how each ended the moment it does; tells it then.

    What ends this leaves what has come. Raises FileProblem, EngineProblem.
    """
    with closing(outcomes(hosts, ask)) as coming:
        for outcome, snapshot in coming:
            add_host(folder, outcome, snapshot)
            tell(outcome)


def _ended(host: str, answer: Told) -> tuple[HostOutcome, bytes | None]:
    return HostOutcome(host, answer.state, time.time(), answer.detail), answer.snapshot
