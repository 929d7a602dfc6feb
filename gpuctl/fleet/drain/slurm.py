"""Slurm's nodes drained and resumed from where scontrol is; what others have drained is left as they have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuctl.bounds import plain
from gpuctl.fleet.drain.drain import IN_SERVICE, Taken, each, problems
from gpuctl.host.look.local import LocalHost
from gpuctl.provision.slurm_node import (
    LONGEST_REASON,
    SlurmNode,
    SlurmProblem,
    called,
    checked,
    jobs_on,
    shown,
    update,
)

LONGEST_NAME = 80
"""Characters of a run's name in a reason."""


class SlurmDrain:
    """Drains for the reason `gpuctl RUN: FINDING (begun WHEN)`: a node is its own that has it to the letter."""

    def __init__(self, run: str, begun: str, finding: str) -> None:
        begin, end = f"gpuctl {plain(run)[:LONGEST_NAME]}: ", f" (begun {begun})"
        self._reason = f"{begin}{plain(finding)[: LONGEST_REASON - len(begin) - len(end)]}{end}"

    def take_out(self, hosts: Sequence[str]) -> Mapping[str, Taken]:
        """Drains nodes; running jobs go on."""
        return each(hosts, self._taken)

    def _taken(self, host: str) -> Taken:
        try:
            node = _node(host)
        except SlurmProblem as problem:
            return Taken(None, str(problem))
        if self._is_of_others(node):
            out = node.is_drained or node.is_down
            return Taken(False, "" if out else f"Others have given it a reason: {plain(node.reason)}.")
        try:
            if not node.is_drained:
                update(node.name, "State=DRAIN", f"Reason={self._reason}")
            return Taken(True)
        except SlurmProblem as problem:
            return Taken(self._may_be_ours(host), str(problem))

    def _may_be_ours(self, host: str) -> bool:
        """Whether a node is drained by this run of which Slurm has not said so: it may have heard all the same."""
        try:
            node = _node(host)
        except SlurmProblem:
            return True
        return node.is_drained and not self._is_of_others(node)

    def busy(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Returns which nodes still have jobs, or are given new ones."""
        return problems(hosts, _with_jobs)

    def bring_back(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Undrains its own nodes. Not RESUME, which would bring back one that Slurm has set down itself."""
        return problems(hosts, self._brought_back)

    def _brought_back(self, host: str) -> str:
        """How the node stands then counts: one that has never answered Slurm undrains, and says that it failed."""
        try:
            node = _node(host)
        except SlurmProblem as problem:
            return str(problem)
        if not node.is_drained or self._is_of_others(node):
            return ""
        try:
            update(node.name, "State=UNDRAIN")
        except SlurmProblem as problem:
            return str(problem) if self._may_be_ours(host) else ""
        return ""

    def _is_of_others(self, node: SlurmNode) -> bool:
        return node.is_claimed and node.reason != self._reason


def _with_jobs(host: str) -> str:
    try:
        node = _node(host)
        if not (node.is_drained or node.is_down):
            return IN_SERVICE
        has_jobs = node.has_jobs or jobs_on(LocalHost(), node.name)
    except SlurmProblem as problem:
        return str(problem)
    return f"Jobs are on the node {node.name}." if has_jobs else ""


def _node(host: str) -> SlurmNode:
    """The node of that name, else the one that Slurm's configuration has for a host of that name."""
    here = LocalHost()
    try:
        return shown(here, checked(host, "the host's name"))
    except SlurmProblem:
        return shown(here, called(here, host))
