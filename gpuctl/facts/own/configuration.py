"""gpuctl's own configuration: waivers, and what holds where the command line says nothing.

The host's file is /etc/gpuctl/config.toml; a user's, in $XDG_CONFIG_HOME/gpuctl, lies over it. Root reads no user's:
a home folder that came along through sudo never decides what root is told.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Dict, List, Mapping, Optional, Tuple

from gpuctl.documents import load_toml
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome, fact
from gpuctl.host.places import SYSTEM_CONFIG
from gpuctl.model import Defaults, Fact

HOSTNAME = "/proc/sys/kernel/hostname"
EVERY_HOST = "*"
_TEXTS = List[str]
_WAIVER: Mapping[str, Any] = {"id": str, "reason": str, "expires": date, "host": str}
_SEARCHED = 500
"""So many lines are searched for what is wrong: each is tried together with all before it."""
_DEFAULTS: Mapping[str, Any] = {"strict": bool, "format": str, "only": _TEXTS, "skip": _TEXTS}
_KINDS: Mapping[Any, str] = {
    str: "a text in quotes",
    date: "a date without quotes (2027-01-31)",
    bool: "true or false",
    _TEXTS: "a list of texts",
}


@dataclass(frozen=True)
class WrittenWaiver:
    """A waiver as it is written, whether or not it holds. `place`: in which file; "" and None: it does not say.

    `host` is a pattern as of a shell, for the names of the hosts that it is meant for.
    """

    place: str
    id: str = ""
    reason: str = ""
    expires: Optional[date] = None
    host: str = EVERY_HOST


@dataclass(frozen=True)
class OwnConfigFile:
    """What one file says."""

    path: str
    waivers: Tuple[WrittenWaiver, ...]
    defaults: Defaults


@dataclass(frozen=True)
class Configuration:
    """`files`: those that are there, the host's first. Unknown where one of them is not to be gone by, and why."""

    hostname: Fact[str]
    files: Fact[Tuple[OwnConfigFile, ...]]

    @property
    def waivers(self) -> Tuple[WrittenWaiver, ...]:
        """All waivers, the user's first. Raises CannotTell."""
        return tuple(waiver for file in reversed(self.files.get() or ()) for waiver in file.waivers)

    @property
    def defaults(self) -> Defaults:
        """The defaults, the user's over the host's. Raises CannotTell."""
        merged = Defaults()
        for file in self.files.get() or ():
            merged = file.defaults.over(merged)
        return merged


def probe_configuration(host: Host) -> Configuration:
    """Returns what the configuration files say to this user."""
    read = [_read(host, path) for path in _paths(host)]
    files = tuple(file.value for file in read if file.value)
    wrong = next((file for file in read if file.unknown), None)
    source = wrong.source if wrong else ", ".join(file.source for file in read)
    return Configuration(
        fact(host.read(HOSTNAME), str.strip), Fact(files, source, unknown=wrong.unknown if wrong else None)
    )


def _paths(host: Host) -> List[str]:
    if host.env("euid").text == "0":
        return [SYSTEM_CONFIG]
    base = host.env("XDG_CONFIG_HOME").text
    if not base.startswith("/"):  # the XDG specification says to ignore a relative one
        base = host.env("HOME").text + "/.config"
    return [SYSTEM_CONFIG, base + "/gpuctl/config.toml"]


def _read(host: Host, path: str) -> Fact[OwnConfigFile]:
    reading = host.read(path)
    if reading.outcome is Outcome.ABSENT:
        return Fact(None, path)
    return fact(reading, lambda text: parse_config(path, text))


def parse_config(path: str, text: str) -> OwnConfigFile:
    """Returns what a configuration file says. Raises ValueError.

    [defaults]
    strict = true
    skip = ["image"]

    [[waivers]]
    id = "driver.branch-supported"
    reason = "the V100s stay on 418 until the laboratory moves"
    expires = 2027-01-31
    host = "lab-*"
    """
    try:
        return _parsed(path, load_toml(text))
    except _Misplaced as error:
        raise ValueError("%s%s" % (error, _where(text))) from None


class _Misplaced(ValueError):
    """It is TOML, and says what gpuctl does not understand."""


def _where(text: str) -> str:
    """Where it begins to say that; "" where that cannot be told: TOML's reader keeps no line numbers."""
    lines = text.splitlines(keepends=True)
    for number in range(1, min(len(lines), _SEARCHED) + 1):
        try:
            _parsed("", load_toml("".join(lines[:number])))
        except _Misplaced:
            return " (at line %d)" % number
        except ValueError:  # it ends within a value
            continue
    return ""


def _parsed(path: str, said: Dict[str, Any]) -> OwnConfigFile:
    _check(said, {"defaults": dict, "waivers": list}, "the file")
    defaults = _check(said.get("defaults", {}), _DEFAULTS, "defaults")
    waivers = [_check(one, _WAIVER, "waivers[%d]" % n) for n, one in enumerate(said.get("waivers", []), 1)]
    given: Dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in defaults.items()}
    return OwnConfigFile(path, tuple(WrittenWaiver(path, **waiver) for waiver in waivers), Defaults(**given))


def _check(table: Any, kinds: Mapping[str, Any], name: str) -> Dict[str, Any]:
    """The table as it is. Raises _Misplaced where it says what it cannot say: a misspelt key must not go unnoticed."""
    if not isinstance(table, dict):
        raise _Misplaced("%s is no table" % name)
    for key, value in table.items():
        if key not in kinds:
            raise _Misplaced("%s has %r, which is none of %s" % (name, key, ", ".join(kinds)))
        if not _is(value, kinds[key]):
            raise _Misplaced("%s of %s is not %s" % (key, name, _KINDS.get(kinds[key], "a table")))
    return table


def _is(value: Any, kind: Any) -> bool:
    if kind is _TEXTS:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return type(value) is kind  # a moment is a date to Python as well
