"""Which hosts are not like the others, and which GPUs of a host: told by the others, without a list of what is right.

Hosts of one GPU product are compared. The value that most have is theirs where it is that of at least MAJORITY percent
of those that tell theirs, and of FEWEST hosts; else there is no majority, and nobody differs from it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gpuctl.compat.knowledge.gpus.gpus import gpu_of_device
from gpuctl.fleet.key_facts import GPU_FACTS, HOST_FACTS, SUBJECTS, GpuFacts, KeyFact, KeyFacts
from gpuctl.frozen import dataclass
from gpuctl.host.record.redact import without_secrets

MAJORITY = 60
"""Percent."""
FEWEST, FEWEST_GPUS = 5, 3
"""Hosts, and GPUs within a host, that must agree before others are odd."""


@dataclass(frozen=True)
class Differing:
    """A host that is not like the others. `gpus` are the indexes of those that differ, none where all of it does.

    `since` is the last change of the packages that the fact follows, "" where none is known.
    """

    host: str
    value: str
    gpus: tuple[int, ...] = ()
    since: str = ""


@dataclass(frozen=True)
class Spread:
    """How one fact is spread over the hosts of one GPU product.

    `values` are the values with the number of hosts of each, most frequent first; `majority` is None where there is
    none; `silent` is how many hosts do not tell theirs.
    """

    product: str
    fact: KeyFact
    values: tuple[tuple[str, int], ...]
    majority: str | None
    differing: tuple[Differing, ...]
    silent: int

    @property
    def hosts(self) -> int:
        """How many hosts tell theirs."""
        return sum(count for _, count in self.values)


@dataclass(frozen=True)
class OddGpus:
    """GPUs of one host that are not like its others, of which `count` have the `usual` value."""

    host: str
    product: str
    fact: KeyFact
    usual: str
    count: int
    odd: tuple[tuple[int, str], ...]
    """Indexes with values."""


Hosts = Mapping[str, KeyFacts]


def majority_of(counts: Mapping[str, int], fewest: int) -> str | None:
    """Returns the value of the majority, None where there is none."""
    value = max(counts, key=lambda one: counts[one], default=None)
    if value is None or counts[value] < fewest or 100 * counts[value] < MAJORITY * sum(counts.values()):
        return None
    return value


def products(hosts: Hosts) -> dict[str, tuple[str, ...]]:
    """Returns the GPU products of each host that has any, sorted.

    What NVML does not tell on a host, the PCI ids do by what they are called on others.
    """
    called: dict[str, Counter[str]] = defaultdict(Counter)
    for key in hosts.values():
        for device, product in key.boards:
            if product:
                called[device][product] += 1
    names = {device: counts.most_common(1)[0][0] for device, counts in called.items()}
    found = {host: _products(key, names) for host, key in hosts.items()}
    return {host: has for host, has in found.items() if has}


def _products(key: KeyFacts, names: Mapping[str, str]) -> tuple[str, ...]:
    told = {gpu.product for gpu in key.gpus if gpu.product} | {product for _, product in key.boards if product}
    by_id = {names.get(device) or _called(device) for device, product in key.boards if not product}
    return tuple(sorted(told | by_id if told else by_id))


def _called(device: str) -> str:
    known = gpu_of_device(device)
    return known.name if known else f"PCI device 10de:{device}"


def spreads(hosts: Hosts) -> tuple[Spread, ...]:
    """Returns how each fact that anybody tells is spread over the hosts of each product, by product."""
    of_each = products(hosts)
    alike: dict[tuple[str, ...], dict[str, KeyFacts]] = defaultdict(dict)
    for host, names in of_each.items():
        alike[names][host] = hosts[host]
    of_hosts = [_of_host_facts(" + ".join(names), group) for names, group in sorted(alike.items())]
    having: dict[str, dict[str, KeyFacts]] = defaultdict(dict)
    for host, key in hosts.items():
        for product in {gpu.product for gpu in key.gpus if gpu.product}:
            having[product][host] = key
    of_gpus = [_of_gpu_facts(product, group) for product, group in sorted(having.items())]
    return tuple(one for found in (*of_hosts, *of_gpus) for one in found)


def _of_host_facts(product: str, hosts: Hosts) -> Iterator[Spread]:
    for place, fact in enumerate(HOST_FACTS):
        told = {host: value for host, key in hosts.items() if (value := key.values[place]) is not None}
        usual = majority_of(Counter(told.values()), FEWEST)
        differing = (
            Differing(host, value, (), _since(fact, hosts[host]))
            for host, value in told.items()
            if usual is not None and value != usual
        )
        yield from _spread(product, fact, told, usual, differing, len(hosts))


def _since(fact: KeyFact, key: KeyFacts) -> str:
    return without_secrets(key.changes[SUBJECTS.index(fact.follows)]) if fact.follows else ""


def _of_gpu_facts(product: str, hosts: Hosts) -> Iterator[Spread]:
    """A host has a value where all of its GPUs have it, and one of its own where they differ."""
    for place, fact in enumerate(GPU_FACTS):
        each = {host: _told(key.gpus, product, place) for host, key in hosts.items()}
        told = {host: _together([value for _, value in values]) for host, values in each.items() if values}
        uniform = Counter(value for host, value in told.items() if len({one for _, one in each[host]}) == 1)
        usual = majority_of(Counter(told.values()), FEWEST)
        usual = usual if usual in uniform else None
        differing = (
            Differing(host, _together(odd), _indexes(each[host], usual))
            for host in told
            if usual is not None and (odd := [value for _, value in each[host] if value != usual])
        )
        yield from _spread(product, fact, told, usual, differing, len(hosts))


def _indexes(values: Sequence[tuple[int, str]], usual: str) -> tuple[int, ...]:
    """Of the GPUs that differ; none where all do."""
    odd = tuple(index for index, value in values if value != usual)
    return odd if len(odd) < len(values) else ()


def _told(gpus: Iterable[GpuFacts], product: str, place: int) -> list[tuple[int, str]]:
    known = ((gpu.index, gpu.values[place]) for gpu in gpus if gpu.product == product)
    return [(index, value) for index, value in known if value is not None]


def _together(values: Sequence[str]) -> str:
    counts = Counter(values)
    if len(counts) == 1:
        return values[0]
    return ", ".join(
        f"{value} on {count}" for value, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    )


def _spread(
    product: str, fact: KeyFact, told: Mapping[str, str], usual: str | None, differing: Iterable[Differing], hosts: int
) -> Iterator[Spread]:
    if told:
        values = sorted(Counter(told.values()).items(), key=lambda one: (-one[1], one[0]))
        by_value = sorted(differing, key=lambda one: (one.value, one.host))
        yield Spread(product, fact, tuple(values), usual, tuple(by_value), hosts - len(told))


def odd_gpus(hosts: Hosts, found: Iterable[Spread]) -> tuple[OddGpus, ...]:
    """Returns the GPUs that differ from the others of their host, where no majority of the fleet tells of them."""
    told = {(one.product, one.fact.name) for one in found if one.majority is not None}
    return tuple(odd for host, key in hosts.items() for odd in _odd_in(host, key, told))


def _odd_in(host: str, key: KeyFacts, told: set[tuple[str, str]]) -> Iterator[OddGpus]:
    for product in sorted({gpu.product for gpu in key.gpus if gpu.product}):
        for place, fact in enumerate(GPU_FACTS):
            values = [] if (product, fact.name) in told else _told(key.gpus, product, place)
            counts = Counter(value for _, value in values)
            usual = majority_of(counts, FEWEST_GPUS)
            odd = tuple((index, value) for index, value in values if value != usual)
            if usual is not None and odd:
                yield OddGpus(host, product, fact, usual, counts[usual], odd)
