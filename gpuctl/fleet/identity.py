"""Names of a run that are not one host each: a host listed twice, machines made of one image, another's snapshot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from enum import Enum

from gpuctl.fleet.key_facts import KeyFacts
from gpuctl.frozen import dataclass
from gpuctl.host.record.names import is_everywhere

ALSO = "#"
"""Behind it stands what tells a further host of one name from the first: gpu7#rack2."""


class Shared(str, Enum):
    """What hosts have in common that each host has for itself."""

    ALL = "fleet.host-twice"
    """Machine id and GPUs, or the boot where none is seen: one host under several names."""
    MACHINE = "fleet.machine-id-shared"
    """The machine id alone: several hosts made from one image."""
    GPU = "fleet.gpu-twice"
    """A GPU alone: it was moved, or the machine got another id between two looks."""


@dataclass(frozen=True)
class Twins:
    """Hosts that share what each should have alone. `what` is the GPU's UUID, "" where it is the machine's id."""

    shared: Shared
    hosts: tuple[str, ...]
    what: str = ""


def twins(hosts: Mapping[str, KeyFacts]) -> tuple[Twins, ...]:
    """Returns the hosts that are one, or seem to be, each with all that share the same."""
    machines: dict[str, list[str]] = defaultdict(list)
    holders: dict[str, list[str]] = defaultdict(list)
    for host, key in hosts.items():
        if key.machine:
            machines[key.machine].append(host)
        for uuid in sorted({gpu.uuid for gpu in key.gpus if gpu.uuid}):
            holders[uuid].append(host)
    found: list[Twins] = []
    for names in machines.values():
        if len(names) > 1:
            found += _of_one_id(names, hosts)
    same = {name: number for number, one in enumerate(found) if one.shared is Shared.ALL for name in one.hosts}
    groups: dict[tuple[str, ...], str] = {}
    for uuid, names in holders.items():
        if len(names) > 1 and len({same.get(name, name) for name in names}) > 1:
            groups.setdefault(tuple(names), uuid)
    return (*found, *(Twins(Shared.GPU, names, uuid) for names, uuid in groups.items()))


def _of_one_id(names: list[str], hosts: Mapping[str, KeyFacts]) -> list[Twins]:
    """Those of one machine id: by their GPUs, and by their boots where none is seen, they are one host, or several."""
    alike: dict[object, list[str]] = defaultdict(list)
    for name in names:
        gpus = frozenset(gpu.uuid for gpu in hosts[name].gpus if gpu.uuid)
        alike[gpus or hosts[name].boot].append(name)
    once = [Twins(Shared.ALL, tuple(same)) for same in alike.values() if len(same) > 1]
    return once + ([Twins(Shared.MACHINE, tuple(names))] if len(alike) > 1 else [])


def impostors(hostnames: Mapping[str, str], names: tuple[str, ...], hosts: Mapping[str, KeyFacts]) -> dict[str, str]:
    """Returns hosts that call themselves by the name of another host of the run, each with that name.

    `hostnames` are what hosts call themselves, `names` all of the run. One that is the other is a twin, no impostor.
    """
    known = {_short(name): name for name in reversed(names)} | {name.lower(): name for name in names}
    found = {}
    for host, called in hostnames.items():
        other = known.get(called.lower()) or known.get(_short(called))
        if not called or other is None or is_everywhere(called) or _short(called) == _short(host):
            continue
        if other != host and not _one_machine(hosts.get(host), hosts.get(other)):
            found[host] = other
    return found


def _one_machine(one: KeyFacts | None, other: KeyFacts | None) -> bool:
    if one is None or other is None:
        return False
    uuids = [{gpu.uuid for gpu in key.gpus if gpu.uuid} for key in (one, other)]
    if one.machine is None or other.machine is None:  # recorded by a gpuctl that did not look at it
        return bool(uuids[0]) and uuids[0] == uuids[1]
    return one.machine == other.machine


def _short(name: str) -> str:
    name = name.partition(ALSO)[0].lower()
    return name if _is_number(name) else name.partition(".")[0]


def _is_number(name: str) -> bool:
    """Whether a name is an address: what stands before its first dot says nothing."""
    return name.replace(".", "").isdigit() or ":" in name
