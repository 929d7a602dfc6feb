"""A run that changes hosts, as it is begun or gone on with: whom it is for, by the inventory that is given."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from gpuctl import __version__
from gpuctl.fleet.ansible import EngineProblem, host_variable
from gpuctl.fleet.asking import Entry
from gpuctl.fleet.changes import ChangeRun, create
from gpuctl.fleet.waves import Domains, Partition, waves

NAMES = 3
"""So many hosts are named of those that an inventory lacks."""


def begun(run: ChangeRun, entry: Entry, partition: Partition) -> ChangeRun:
    """Returns a new run with its waves, of those hosts of its plan that are meant, and makes its folder.

    Raises EngineProblem, and FileProblem where something is there.
    """
    hosts = among(run.plan.hosts, entry, "plan")
    divided = replace(run, waves=waves(hosts, partition.sizes, _domains(entry, partition)))
    create(divided.folder, __version__, divided)
    return divided


def among(wanted: Collection[str], entry: Entry, whose: str) -> tuple[str, ...]:
    """Returns which of these hosts are meant, in the inventory's order.

    Raises EngineProblem where none is, or where the inventory has not all of them and no pattern picks some: who is
    left out is left out on purpose. `whose`: what they belong to, in a word.
    """
    hosts = tuple(host for host in entry.hosts if host in wanted)
    missing, limit = sorted(set(wanted).difference(hosts)), entry.way.target.limit
    if missing and (limit is None or not hosts):
        names = ", ".join(missing[:NAMES]) + (f" and {len(missing) - NAMES} more" if missing[NAMES:] else "")
        lacks = "the inventory has no such host" if limit is None else "--limit picks no such host"
        way = " Those that it has are meant by --limit all." if hosts else ""
        raise EngineProblem(f"The {whose} is for {names}, and {lacks}.{way}")
    return hosts


def _domains(entry: Entry, partition: Partition) -> Domains | None:
    if partition.domain is None:
        return None
    domains = Domains(host_variable(entry.way.target, partition.domain, entry.way.end), partition.most)
    if not domains.of:
        raise EngineProblem(f"No host of the inventory has a variable {partition.domain}.")
    return domains
