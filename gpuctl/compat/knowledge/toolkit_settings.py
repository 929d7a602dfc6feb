"""The settings of the toolkit's config.toml: what a container gets by each, on which path and by which release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from functools import cache
from typing import Any

from gpuctl.compat.tables.loader import load
from gpuctl.compat.versions import compare
from gpuctl.frozen import dataclass

ANY = "*"
CHOICES = ("legacy", "jit-cdi", "cdi", "csv")
"""The paths of which nvidia-container-runtime chooses one, by its mode."""
SPOILT: Mapping[str, tuple[str, str]] = {
    "refused": ("fails", "fail"),
    "nothing": ("gives no GPU", "give no GPU"),
    "closed": ("gives GPUs that cannot be opened", "give GPUs that cannot be opened"),
}
"""What a container may get in place of its GPUs, as the predicate of one way and of several."""
Value = bool | str | tuple[str, ...]
_KINDS: Mapping[str, type] = {"boolean": bool, "string": str}


@dataclass(frozen=True)
class ToolkitSetting:
    """What a container gets on these paths, where a setting has this value and `when` all holds; see the schema."""

    setting: str
    paths: tuple[str, ...]
    gets: str
    text: str
    source: str
    kind: str | None = None
    value: Value | None = None
    when: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    default: Value | None = None

    def in_release(self, version: str) -> bool:
        """Returns whether a release of the toolkit does so."""
        begun = self.since is None or compare(version, self.since) >= 0
        return begun and (self.until is None or compare(version, self.until) < 0)

    def fits(self, value: Any, so: Set[str]) -> bool:
        """Returns whether the row is for this value, and holds where these things are so."""
        given = tuple(value) if isinstance(value, list) else value
        is_for = self.value is None or (type(self.value) is type(given) and self.value == given)
        return is_for and so >= set(self.when)


@cache
def toolkit_settings() -> tuple[ToolkitSetting, ...]:
    """Returns the table: of a setting's rows the first that fits counts."""
    return load("toolkit_settings", ToolkitSetting)


def rows_for(setting: str, value: Any, so: Set[str]) -> tuple[ToolkitSetting, ...]:
    """Returns what a setting's value does, whatever the path and the release."""
    return tuple(row for row in toolkit_settings() if row.setting == setting and row.fits(value, so))


def setting_row(setting: str, value: Any, so: Set[str], path: str, version: str) -> ToolkitSetting | None:
    """Returns what a setting's value does on a path of that release; None where it does nothing there."""
    rows = (row for row in rows_for(setting, value, so) if path in row.paths)
    return next((row for row in rows if row.in_release(version)), None)


@cache
def described(setting: str) -> ToolkitSetting | None:
    """Returns the row that tells a setting's kind and default, None for one that no release knows."""
    return next((row for row in toolkit_settings() if row.setting == setting and row.kind), None)


def default_of(setting: str) -> bool | str | list[str]:
    """Returns what a setting is where it is not set. Raises KeyError for one that no release knows."""
    row = described(setting)
    if row is None or row.default is None:
        raise KeyError(setting)
    return list(row.default) if isinstance(row.default, tuple) else row.default


def strangers(values: Mapping[str, Any], version: str) -> Iterator[tuple[str, str]]:
    """Yields the settings of a file that this release does not take as they are: `unknown`, or of `other-kind`."""
    for name, value in values.items():
        row = described(name)
        if row is None:
            yield name, "other-kind" if _is_misplaced(name) else "unknown"
        elif not row.in_release(version):
            yield name, "unknown"
        elif not _is_of(row.kind or "", value):
            yield name, "other-kind"


def _is_misplaced(name: str) -> bool:
    """Whether it is a table where a value is wanted, or a value where a table is."""
    known = {row.setting for row in toolkit_settings()}
    parts = name.split(".")
    return any(".".join(parts[:end]) in known for end in range(1, len(parts))) or any(
        one.startswith(f"{name}.") for one in known
    )


def _is_of(kind: str, value: Any) -> bool:
    if kind == "strings":
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return isinstance(value, _KINDS[kind])
