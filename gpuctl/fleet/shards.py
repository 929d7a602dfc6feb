"""A large fleet's hosts divided among several Ansibles: one takes in some 20 results a second, however many are asked.

Pure. What they answer comes together again in gpuctl/fleet/ansible.py, and nobody else knows of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from gpuctl.host.look.capacity import Capacity

HOSTS_A_SHARD = 2_000
"""So many one Ansible asks, or as many as there are."""
CORES_A_SHARD = 4
"""Those that start ssh and read what it brings keep so many cores busy while one Ansible takes in what comes."""


def shards(hosts: Sequence[str], room: Capacity) -> tuple[tuple[str, ...], ...]:
    """Returns the hosts in as many parts as Ansibles are to ask them, in their order, none larger than others by two.

    Up to HOSTS_A_SHARD hosts, and where there are fewer cores than two would keep busy, that is one part.
    """
    wanted = -(-len(hosts) // HOSTS_A_SHARD)
    count = min(wanted, _most_shards(room))
    ends = [len(hosts) * number // count for number in range(count + 1)]
    return tuple(tuple(hosts[begin:end]) for begin, end in pairwise(ends))


def most_at_once(room: Capacity) -> int | None:
    """Returns of how many hosts it needs not be known how many they are, None for any number: one Ansible asks them."""
    return None if _most_shards(room) == 1 else HOSTS_A_SHARD


def _most_shards(room: Capacity) -> int:
    return max(1, room.cores // CORES_A_SHARD)
