"""Which packages of a lock file are installed only with an extra or a group that has to be named.

Sources: https://docs.astral.sh/uv/concepts/projects/sync/ (extras are left out, of the groups dev is not),
https://python-poetry.org/docs/pyproject/#extras, https://pdm-project.org/latest/usage/dependency/ (groups).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

_ROOTS = ("editable", "virtual", "directory")
"""Sources of what a lock file of uv is for: the project, and the members of its workspace."""
_ALWAYS = ("default", "dev")
"""Groups that pdm installs where none is named."""


def optional_names(packages: Sequence[dict[str, Any]]) -> frozenset[str]:
    """Returns the names of packages in a lock file, as it has them, of which no entry is installed by itself."""
    by_uv = frozenset(_reached_by_uv(packages))
    needed = {str(one.get("name")) for one in packages if _is_needed(one, by_uv)}
    return frozenset(str(one.get("name")) for one in packages) - needed


def _is_needed(package: dict[str, Any], by_uv: frozenset[str]) -> bool:
    groups = package.get("groups")
    if by_uv:
        return str(package.get("name")) in by_uv
    if package.get("optional") is True:  # Poetry: an extra's
        return False
    return not isinstance(groups, list) or "optional" in package or any(one in _ALWAYS for one in groups)


def _reached_by_uv(packages: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yields what the projects of a lock file of uv need without an extra; nothing where it names none."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for package in packages:
        by_name.setdefault(str(package.get("name")), []).append(package)
    waiting = [(name, "") for name, entries in by_name.items() if any(map(_is_root, entries))]
    done = set(waiting)
    for name, extra in waiting:
        yield name
        for package in by_name.get(name, ()):
            wanted = [*_edges(package, extra), *(_dev(package) if _is_root(package) else ())]
            new = [edge for edge in dict.fromkeys(wanted) if edge not in done]
            done.update(new)
            waiting += new


def _is_root(package: dict[str, Any]) -> bool:
    source = package.get("source")
    return isinstance(source, dict) and any(key in source for key in _ROOTS)


def _edges(package: dict[str, Any], extra: str) -> Iterator[tuple[str, str]]:
    """Yields the packages, each with an extra or "", that one needs, or one of its extras."""
    extras = package.get("optional-dependencies")
    return _named(extras.get(extra) if extra and isinstance(extras, dict) else package.get("dependencies"))


def _dev(package: dict[str, Any]) -> Iterator[tuple[str, str]]:
    groups = package.get("dev-dependencies")
    return _named(groups.get("dev") if isinstance(groups, dict) else None)


def _named(dependencies: object) -> Iterator[tuple[str, str]]:
    entries: Iterable[object] = dependencies if isinstance(dependencies, list) else ()
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            extras = entry.get("extra")
            yield from ((entry["name"], str(extra)) for extra in ["", *(extras if isinstance(extras, list) else ())])
