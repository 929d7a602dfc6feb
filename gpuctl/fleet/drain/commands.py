"""A person's own commands, run here for each host before it is changed and when it is verified; no shell reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from gpuctl.bounds import plain, with_end
from gpuctl.command import quoted
from gpuctl.fleet.drain.drain import Taken
from gpuctl.host.act.process import run_long
from gpuctl.host.look.reading import failure

AT_ONCE = 16
LETTERS = 300


class CommandDrain:
    """Runs `before HOST` and `after HOST`, each to its end; none is run for a host where it is empty."""

    def __init__(self, before: Sequence[str], after: Sequence[str], deadline: float) -> None:
        self._before, self._after, self._deadline = before, after, deadline

    def take_out(self, hosts: Sequence[str]) -> Mapping[str, Taken]:
        """Runs the command that takes a host out of service, and waits, if that is to be waited for."""
        problems = self._run(self._before, hosts)
        return {host: Taken(host not in problems, problems.get(host, "")) for host in hosts}

    def busy(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Returns none: the command has waited."""
        return {}

    def bring_back(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Runs the command that brings a host back."""
        return self._run(self._after, hosts)

    def _run(self, command: Sequence[str], hosts: Sequence[str]) -> Mapping[str, str]:
        if not command:
            return {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            told = zip(hosts, pool.map(lambda host: self._ended(command, host), hosts), strict=True)
            return {host: why for host, why in told if why}

    def _ended(self, command: Sequence[str], host: str) -> str:
        if host.startswith("-"):
            return "Its name reads as an option, and is handed to no command."
        said = run_long((*command, host), self._deadline)
        if said.ok:
            return ""
        return with_end(plain(f"{quoted(command[0])}: {failure(said)} {said.text.strip()}".strip()), LETTERS)
