"""A person's own commands, run here for each host before it is changed and when it is verified; no shell reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuctl.bounds import plain, with_end
from gpuctl.command import quoted
from gpuctl.fleet.drain.drain import Taken, each, problems
from gpuctl.host.act.process import run_long
from gpuctl.host.look.reading import failure

LETTERS = 300


class CommandDrain:
    """Runs `before HOST` and `after HOST`, each to its end; none is run for a host where it is empty."""

    def __init__(self, before: Sequence[str], after: Sequence[str], deadline: float) -> None:
        self._before, self._after, self._deadline = before, after, deadline

    def take_out(self, hosts: Sequence[str]) -> Mapping[str, Taken]:
        """Runs the command that takes a host out of service, and waits, if that is to be waited for."""
        return each(hosts, self._taken)

    def busy(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Returns none: the command has waited."""
        return {}

    def bring_back(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Runs the command that brings a host back."""
        return problems(hosts, lambda host: self._ended(self._after, host))

    def _taken(self, host: str) -> Taken:
        why = self._ended(self._before, host)
        return Taken(None, why) if why else Taken(True)

    def _ended(self, command: Sequence[str], host: str) -> str:
        if not command:
            return ""
        if host.startswith("-"):
            return "Its name reads as an option, and is handed to no command."
        said = run_long((*command, host), self._deadline)
        if said.ok:
            return ""
        return with_end(plain(f"{quoted(command[0])}: {failure(said)} {said.text.strip()}".strip()), LETTERS)
