"""dockerd's command line, and which keys of daemon.json it sets.

From moby's daemon/command/config.go and options.go: a flag conflicts with the key of its own name, unless it is
declared with another name (NewNamedListOptsRef and its like).
"""

from __future__ import annotations

from typing import FrozenSet, Iterator, List, Mapping, Sequence, Tuple

SHORT: Mapping[str, str] = {
    "b": "bridge",
    "D": "debug",
    "g": "graph",
    "G": "group",
    "H": "host",
    "l": "log-level",
    "p": "pidfile",
    "r": "restart",
    "s": "storage-driver",
    "v": "version",
}
SHORT_SWITCHES = "Drv"
"""Short flags that take no value, so that another may follow in the same word."""
KEYS: Mapping[str, str] = {
    "add-runtime": "runtimes",
    "authorization-plugin": "authorization-plugins",
    "cdi-spec-dir": "cdi-spec-dirs",
    "cluster-store-opt": "cluster-store-opts",
    "default-address-pool": "default-address-pools",
    "default-network-opt": "default-network-opts",
    "default-ulimit": "default-ulimits",
    "dns-opt": "dns-opts",
    "exec-opt": "exec-opts",
    "feature": "features",
    "host": "hosts",
    "insecure-registry": "insecure-registries",
    "label": "labels",
    "log-opt": "log-opts",
    "node-generic-resource": "node-generic-resources",
    "registry-mirror": "registry-mirrors",
    "storage-opt": "storage-opts",
}
MERGED = frozenset(("runtimes",))
"""Keys that may be in both places: dockerd adds one to the other, from 18.09 on (moby pull request 37871)."""
NO_KEYS = frozenset(("config-file", "help", "validate", "version"))


def options(argv: Sequence[str]) -> List[Tuple[str, str]]:
    """Returns the flags by their long names, in their order, each with its value or "".

    dockerd -H fd:// --containerd=/run/containerd/containerd.sock -D --add-runtime nvidia=/usr/bin/x
    """
    found: List[Tuple[str, str]] = []
    words = list(argv[1:])
    for word, following in zip(words, [*words[1:], "-"]):
        for name, value in _flags_of(word):
            found.append((name, value or ("" if following.startswith("-") else following)))
    return found


def _flags_of(word: str) -> Iterator[Tuple[str, str]]:
    if word.startswith("--"):
        name, _, value = word[2:].partition("=")
        yield name, value
    elif word.startswith("-"):
        letters = word[1:]
        while letters and letters[0] in SHORT_SWITCHES:
            yield SHORT[letters[0]], ""
            letters = letters[1:]
        if letters:
            yield SHORT.get(letters[0], letters[0]), letters[1:].lstrip("=")


def values(argv: Sequence[str], flag: str) -> List[str]:
    """Returns every value that a flag has on a command line."""
    return [value for name, value in options(argv) if name == flag]


def keys_set(argv: Sequence[str]) -> FrozenSet[str]:
    """Returns the keys of daemon.json that the command line sets."""
    return frozenset(KEYS.get(name, name) for name, _ in options(argv) if name and name not in NO_KEYS)
