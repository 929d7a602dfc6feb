"""Which of containerd's files a change goes into, so that it counts and freezes nothing."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from gpuctl.engines.containerd import (
    KEY_BY_KEY,
    RUNTIME_PLUGIN,
    CriSettings,
    Release,
    check_types,
    merged,
    missing_runc,
    names_of,
    new_file,
    plugin_of,
    register,
    runtimes_of,
    settings,
    switching_cdi_on,
    wished_entry,
)
from gpuctl.engines.merge import REMOVED, Keys, value_at
from gpuctl.engines.toml.text import NotAccepted, decoded, line_of, values
from gpuctl.frozen import dataclass
from gpuctl.host.write.files import behind_links
from gpuctl.provision.change_set import Contents
from gpuctl.provision.result import Wish

_LIKE_BACKUP = ".gpuctl-x.bak"
"""How the names end that host/write/replace.py gives."""
DROP_IN = "99-gpuctl.toml"


@dataclass(frozen=True)
class ConfigFiles:
    """The files that one containerd reads: the main one, and all in their order with what they hold."""

    main: str
    contents: Contents
    release: Release
    """2.x merges imported files key by key, 1.x does not."""

    @property
    def merges(self) -> bool:
        """Whether a file adds to what others say, rather than to stand in its place."""
        return self.release >= KEY_BY_KEY

    def plugin_of(self, path: str) -> str:
        """Returns the name of the CRI plugin's table in which that file names a runtime. Raises NotAccepted."""
        held = self if path in self.contents else self.with_contents({path: self.raw(path)})
        paths = list(held.contents)
        return plugin_of([held.raw(one) for one in paths], paths.index(path), self.release)

    def raw(self, path: str) -> bytes:
        """Returns what a file holds, or what a new one has to begin with: a drop-in with the main file's version."""
        held = self.contents.get(path)
        if held is not None:
            return held
        if path == self.main:
            return new_file(self.release)
        version = values(self.raw(self.main)).get("version")
        return b"" if version is None else f"version = {version}\n".encode()

    def document(self, plugin: str) -> dict[str, Any]:
        """Returns what all files say together, of CRI under the name `plugin`. Raises NotAccepted."""
        for path, names in self.names().items():
            try:
                for name in names:
                    check_types(self.raw(path), name)
            except NotAccepted as error:
                raise NotAccepted(error.message, error.line, path) from None
        return merged([self.raw(path) for path in self.contents], plugin, self.release)

    def names(self) -> Mapping[str, tuple[str, ...]]:
        """Returns under which names the CRI table of each file counts. Raises NotAccepted."""
        return dict(zip(self.contents, names_of([self.raw(path) for path in self.contents], self.release), strict=True))

    def settings(self) -> CriSettings:
        """Returns what all files say together of runtimes. Raises NotAccepted."""
        return settings(self.document(RUNTIME_PLUGIN), RUNTIME_PLUGIN)

    def with_contents(self, contents: Contents) -> ConfigFiles:
        """Returns the same files, some of them with other contents; a new one among those of its folder, by name."""
        result = dict(self.contents)
        names = {behind_links(path): path for path in result}
        for path, raw in ((names.get(real, real), raw) for real, raw in contents.items()):
            later = (
                [] if path in result else [other for other in result if _in_one_folder(path, other) and other > path]
            )
            result |= {path: raw, **{other: result.pop(other) for other in later}}
        return ConfigFiles(self.main, result, self.release)


def _in_one_folder(one: str, other: str) -> bool:
    return posixpath.dirname(one) == posixpath.dirname(other)


def target(layout: ConfigFiles, name: str) -> str:
    """Returns the file in which the runtime is to be registered.

    Up to 1.7 that is the last one with a CRI table, of which alone the table counts; a drop-in would be taken for
    the whole of it. From 2.0 on it is the one that knows the runtime already, else a drop-in of gpuctl's own where
    the main file imports a folder of them, else the main file.
    """
    holders = _holders(layout, lambda plugin: (*runtimes_of(plugin), name)) if layout.merges else _with_cri(layout)
    if holders:
        return holders[-1]
    folders = _imported_folders(layout) if layout.merges else []
    return posixpath.join(folders[0], DROP_IN) if folders else layout.main


def shadowed(layout: ConfigFiles) -> tuple[str, ...]:
    """Returns what to say of a file whose table of CRI another one stands in the place of, up to 1.7."""
    *others, last = _with_cri(layout) or [""]
    is_whole = others and not layout.merges
    return (f"What {' and '.join(others)} says of CRI does not count: {last} takes its place.",) if is_whole else ()


def _with_cri(layout: ConfigFiles) -> list[str]:
    return _holders(layout, lambda plugin: ("plugins", plugin))


def _holders(layout: ConfigFiles, at: Callable[[str], Keys]) -> list[str]:
    """The files that have something in a CRI table of theirs that counts; `at` says where in one of that name."""
    documents = {file: (values(layout.raw(file)), names) for file, names in layout.names().items()}
    return [
        file
        for file, (document, names) in documents.items()
        if any(value_at(document, at(name)) is not REMOVED for name in names)
    ]


def _imported_folders(layout: ConfigFiles) -> list[str]:
    return [posixpath.dirname(pattern) for pattern in _patterns(layout) if posixpath.basename(pattern) == "*.toml"]


def _patterns(layout: ConfigFiles) -> list[str]:
    """What the main file imports, relative to no folder. Raises NotAccepted."""
    raw = layout.raw(layout.main)
    imports = values(raw).get("imports", [])
    if not isinstance(imports, list):
        raise NotAccepted("imports is not an array", line_of(decoded(raw), ("imports",)))
    folder = posixpath.dirname(layout.main)
    return [posixpath.normpath(posixpath.join(folder, entry)) for entry in imports if isinstance(entry, str)]


def registered(layout: ConfigFiles, path: str, program: str, wish: Wish) -> bytes:
    """Returns what the file is to hold. Raises NotAccepted, and Differs where the runtime is there in another way."""
    plugin = layout.plugin_of(path)
    document = layout.document(plugin)
    runc = () if layout.merges else missing_runc(document, plugin)
    cdi = switching_cdi_on(document, plugin, layout.release) if wish.cdi else ()
    entry = wished_entry(document, plugin, wish.name, program)
    raw = layout.raw(path)
    return register(raw, plugin, wish.name, entry, default=wish.default, force=wish.force, further=(*runc, *cdi))


def check(layout: ConfigFiles, path: str, program: str, wish: Wish) -> None:
    """Raises NotAccepted where the files, together, would not say what is wished: another one has the last word.

    Such a one is the backup too, which stands beside the file, where all that is in its folder is imported.
    """
    if any(fnmatchcase(path + _LIKE_BACKUP, pattern) for pattern in _patterns(layout)):
        raise NotAccepted("the main file imports all that is beside it, backups too: let it import *.toml")
    has = layout.settings()
    if has.runtimes.get(wish.name) != program:
        raise NotAccepted(f"another file that containerd reads has the last word about the runtime {wish.name}")
    if wish.default and has.default != wish.name:
        raise NotAccepted("another file that containerd reads has the last word about default_runtime_name")
    if wish.cdi and has.cdi is False:
        raise NotAccepted("another file that containerd reads has the last word about enable_cdi")
    if "$" not in has.default and has.default not in ("", "runc", *has.runtimes):
        raise NotAccepted(f"default_runtime_name is {has.default}, of which no file has a table: CRI does not start so")


def disabling(layout: ConfigFiles) -> Mapping[str, bytes]:
    """Returns the files that disable CRI, with their contents. Raises NotAccepted."""
    files = {path: layout.raw(path) for path in layout.contents}
    return {path: raw for path, raw in files.items() if settings(values(raw), RUNTIME_PLUGIN).disabled}
