"""The keys of Docker's daemon.json: which of them dockerd accepts, and what values they take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from gpuctl.compat.tables.loader import load
from gpuctl.compat.versions import docker_version, leading
from gpuctl.frozen import dataclass

OLDEST_TRIED, NEWEST_TRIED = "20.10", "28.5.2"
"""The releases of dockerd whose keys are all in the table: others may have more."""


@dataclass(frozen=True)
class DaemonKey:
    """A key at the top of daemon.json. `kind` of JSON value; None: a flag's name, which is accepted and not read.

    `since`: the first release that may have it, None for all since 20.10. `until`: the first that refuses it.
    """

    key: str
    kind: str | None
    source: str
    since: str | None = None
    until: str | None = None
    note: str | None = None

    def in_release(self, docker: str) -> bool:
        """Returns whether a dockerd accepts the key. Raises ValueError for what is no version."""
        version = docker_version(docker)
        begun = self.since is None or version >= docker_version(self.since)
        return begun and (self.until is None or version < docker_version(self.until))


@cache
def daemon_keys() -> dict[str, DaemonKey]:
    """Returns the table by key."""
    return {row.key: row for row in load("daemon_keys", DaemonKey)}


def release_of(version: str) -> str | None:
    """Returns what a daemon tells of its version as the table takes it, None where that has no number ("dev")."""
    number = leading(version)
    return number if "." in number else None


def unknown_keys(keys: Iterable[str], docker: str | None = None) -> tuple[str, ...]:
    """Returns the keys that a dockerd of this version does not accept, in their order; None: that none accepts.

    dockerd refuses a file with such a key, but for one whose value is an object: it looks at the members instead.
    Raises ValueError for what is no version.
    """
    known = daemon_keys()
    return tuple(key for key in keys if key not in known or (docker and not known[key].in_release(docker)))


def is_tried(docker: str | None) -> bool:
    """Returns whether what the table lacks is surely unknown to this dockerd. Raises ValueError for no version."""
    oldest, newest = docker_version(OLDEST_TRIED), docker_version(NEWEST_TRIED)
    return docker is not None and oldest <= docker_version(docker) <= newest


def refusal(kinds: Mapping[str, str], docker: str | None) -> str | None:
    """Returns why a dockerd of this version surely refuses a file with such keys, as a clause; None: it may take it.

    `kinds`: of JSON value, by key. Where the version is not known only a value of the wrong kind is sure.
    """
    wrong = next(iter(wrong_kinds(kinds).items()), None)
    if wrong:
        return f"`{wrong[0]}` must be of kind {wrong[1]} and is of kind {kinds[wrong[0]]}"
    # An object's members are what dockerd looks at, where it does not know the object itself.
    unknown = [key for key in unknown_keys(kinds, docker) if kinds[key] != "object"]
    return f"Docker {docker} does not know `{unknown[0]}`{spelt(unknown[0])}" if unknown and is_tried(docker) else None


def wrong_kinds(kinds: Mapping[str, str]) -> dict[str, str]:
    """Returns the keys whose JSON value dockerd refuses, each with the kind that it wants; null is always right."""
    rows = ((key, kind, daemon_keys().get(key)) for key, kind in kinds.items())
    return {key: row.kind for key, kind, row in rows if row and row.kind and kind not in (row.kind, "null")}


def spelt(key: str) -> str:
    """Returns a remark on a key that is written in other letters than a known one (`Runtimes`, `log_level`), or ""."""
    meant = spelling(key)
    return f" (it is spelt `{meant}`)" if meant else ""


def spelling(key: str) -> str | None:
    """Returns the key that is meant by one in other letters (`Runtimes`, `log_level`), None where there is none."""
    meant = key.casefold().replace("_", "-")
    return meant if meant != key and meant in daemon_keys() else None
