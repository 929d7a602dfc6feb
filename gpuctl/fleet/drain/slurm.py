"""Slurm's nodes drained and resumed from where scontrol is; what others have drained is left as they have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuctl.bounds import plain
from gpuctl.fleet.drain.drain import Taken
from gpuctl.host.look.local import LocalHost
from gpuctl.provision.slurm_node import LONGEST_REASON, SlurmNode, SlurmProblem, called, checked, shown, update


class SlurmDrain:
    """Drains for the reason `gpuctl RUN: FINDING`, by which it knows its own nodes again."""

    def __init__(self, run: str, finding: str) -> None:
        self._mark = f"gpuctl {plain(run)}: "
        self._reason = f"{self._mark}{plain(finding)}"[:LONGEST_REASON]

    def take_out(self, hosts: Sequence[str]) -> Mapping[str, Taken]:
        """Drains nodes; running jobs go on."""
        return {host: self._taken(host) for host in hosts}

    def _taken(self, host: str) -> Taken:
        try:
            node = _node(host)
            if node.is_of_others(self._mark):
                out = node.is_drained or node.is_down
                return Taken(False, "" if out else f"Others have given it a reason: {plain(node.reason)}.")
            if not node.is_drained:
                update(node.name, "State=DRAIN", f"Reason={self._reason}")
            return Taken(True)
        except SlurmProblem as problem:
            return Taken(False, str(problem))

    def busy(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Returns which nodes still have jobs."""
        told = {host: _with_jobs(host) for host in hosts}
        return {host: why for host, why in told.items() if why}

    def bring_back(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Undrains its own nodes. Not RESUME, which would bring back one that Slurm has set down itself."""
        problems = {}
        for host in hosts:
            try:
                node = _node(host)
                if node.is_drained and not node.is_of_others(self._mark):
                    update(node.name, "State=UNDRAIN")
            except SlurmProblem as problem:
                problems[host] = str(problem)
        return problems


def _with_jobs(host: str) -> str:
    try:
        node = _node(host)
    except SlurmProblem as problem:
        return str(problem)
    return f"Jobs run on the node {node.name}." if node.has_jobs else ""


def _node(host: str) -> SlurmNode:
    """The node of that name, else the one that Slurm's configuration has for a host of that name."""
    here = LocalHost()
    try:
        return shown(here, checked(host, "the host's name"))
    except SlurmProblem:
        return shown(here, called(here, host))
