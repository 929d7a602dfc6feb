"""What an application wants of any image: all that it does not bring itself."""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from gpuctl.compat.knowledge.driver_parts import PartKind, driver_part
from gpuctl.compat.knowledge.libraries import cuda_library
from gpuctl.compat.versions import parts
from gpuctl.dockerfile.app.elf import Binary
from gpuctl.dockerfile.app.scan import Application
from gpuctl.frozen import dataclass

_OF_GLIBC = re.compile(
    r"(?:libc|libm|libmvec|libdl|libpthread|librt|libutil|libresolv|libanl|libcrypt|libnss_[a-z]+|libthread_db"
    r"|libBrokenLocale|libgcc_s|libstdc\+\+)\.so\.\d|libnsl\.so\.1|ld-linux[a-z0-9_-]*\.so\.\d|ld64\.so\.\d|linux-vdso.*"
)
"""In every image: glibc itself, and the C++ library, without which the package managers apt and dnf do not run."""
_SYMBOL = re.compile(r"(GLIBC|GLIBCXX|CXXABI)_(\d+(?:\.\d+)+)")
_OF_BASE = ("sh", "bash", "dash", "env", "sed", "cat")
"""Programs that every image has."""
_STANDARD = ("/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin")
_DRAWS = ("libGL.so.1", "libGLX.so.0", "libEGL.so.1", "libOpenGL.so.0", "libGLESv2.so.2", "libvulkan.so.1")
"""Libraries of distributions that load the driver's for graphics."""
_GLIBC_LOADER = re.compile(r"/lib(?:64)?/ld-linux[a-z0-9_-]*\.so\.\d|/lib64/ld64\.so\.\d")

Users = Mapping[str, tuple[str, ...]]
"""By what is wanted, the files that want it."""


@dataclass(frozen=True)
class Symbols:
    """The newest version of a library's symbols that is needed ("GLIBC", "2.34"), and a file that needs it."""

    name: str
    version: str
    path: str


@dataclass(frozen=True)
class Wants:
    """What an application for one machine wants: libraries (of distributions, CUDA, the driver), programs, symbols.

    `folders` hold libraries of its own that its programs do not find by themselves. `foreign` are files for other
    machines, `loaders` programs for another C library, `hints` libraries that are only named in a program's text.
    """

    machine: str
    libraries: Users
    cuda: Users
    driver: Users
    programs: Users
    symbols: tuple[Symbols, ...]
    folders: tuple[str, ...]
    foreign: Users
    loaders: Users
    hints: Users
    entries: tuple[str, ...] = ()
    """Programs by which it may be started."""
    driver_files: tuple[str, ...] = ()
    """Parts of a driver that lie among the application's files."""

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The words of NVIDIA_DRIVER_CAPABILITIES that it needs: compute and utility always."""
        found = {"compute", "utility"}
        for library in (*self.driver, *self.hints):
            part = driver_part(library)
            if part and part.capability:
                found.add(part.capability)
        if any(library in _DRAWS for library in self.libraries):
            found.add("graphics")
        return tuple(sorted(found))


def machine_of(application: Application) -> str | None:
    """Returns the machine for which most of an application's programs are built, None without any."""
    counts = Counter(binary.machine for binary in application.binaries)
    return max(counts, key=lambda machine: (counts[machine], machine)) if counts else None


def wants_of(application: Application, machine: str) -> Wants:
    """Returns what an application wants on a machine ("x86_64")."""
    ours = [binary for binary in application.binaries if binary.machine == machine]
    brought = {name: places for name, places in application.names.items() if not _of_driver(name)}
    needed = _users(
        (library, one.path) for one in ours for library in one.needed if not _is_brought(library, one.path, brought)
    )
    others = {name: users for name, users in needed.items() if not _OF_GLIBC.fullmatch(name)}
    driver = {name: users for name, users in others.items() if _of_driver(name)}
    cuda = {name: users for name, users in others.items() if cuda_library(name)}
    hints = _users(
        (name, one.path) for one in ours for name in one.opened if name not in brought and name not in others
    )
    return Wants(
        machine=machine,
        libraries={name: users for name, users in others.items() if name not in driver and name not in cuda},
        cuda=cuda,
        driver=driver,
        programs=_programs(application),
        symbols=tuple(_newest_symbols(ours, brought)),
        folders=tuple(sorted(_unreached(ours, brought))),
        foreign=_users((one.machine, one.path) for one in application.binaries if one.machine != machine),
        loaders=_users(
            (one.loader, one.path) for one in ours if one.loader and not _GLIBC_LOADER.fullmatch(one.loader)
        ),
        hints={name: users for name, users in hints.items() if not _OF_GLIBC.fullmatch(name)},
        entries=tuple(one.path for one in ours if one.loader and one.soname is None),
        driver_files=tuple(sorted(path for path in application.files if _of_driver(posixpath.basename(path)))),
    )


def _is_brought(library: str, path: str, brought: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether the application has a library that one of its files needs: by its name, or at its path (ld.so(8))."""
    if "/" not in library:
        return library in brought
    folder, name = posixpath.split(library)
    return _below(path, folder) in brought.get(name, ())


def _users(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, path in pairs:
        found[name].append(path)
    return {name: tuple(dict.fromkeys(paths)) for name, paths in sorted(found.items())}


def _of_driver(library: str) -> bool:
    part = driver_part(library)
    return part is not None and part.kind is PartKind.LIBRARY


def _programs(application: Application) -> dict[str, tuple[str, ...]]:
    """By the name of a program, or by its path where it lies elsewhere than programs do, the scripts that it runs."""
    own = {posixpath.basename(path) for path in application.files}
    found = []
    for script in application.scripts:
        folder, name = posixpath.split(script.interpreter)
        wanted = name if not folder or folder in _STANDARD else script.interpreter
        if name not in _OF_BASE and not (folder == "" and name in own) and not _is_own(application, script.interpreter):
            found.append((wanted, script.path))
    return _users(found)


def _is_own(application: Application, path: str) -> bool:
    """Whether an absolute path may lie in the application: some folder above it is where it will be."""
    pieces = path.strip("/").split("/")
    return any("/".join(pieces[start:]) in application.files for start in range(len(pieces) - 1))


def _newest_symbols(binaries: Iterable[Binary], brought: Mapping[str, object]) -> Iterable[Symbols]:
    newest: dict[str, Symbols] = {}
    for binary in binaries:
        for library, version in binary.versions:
            found = None if library in brought else _SYMBOL.fullmatch(version)
            if found and (found[1] not in newest or parts(found[2]) > parts(newest[found[1]].version)):
                newest[found[1]] = Symbols(found[1], found[2], binary.path)
    return newest.values()


def _unreached(binaries: Iterable[Binary], brought: Mapping[str, tuple[str, ...]]) -> set[str]:
    """The folders of libraries that a binary needs, and that neither its RPATH nor its RUNPATH names."""
    folders: set[str] = set()
    for binary in binaries:
        searched = {_below(binary.path, folder) for folder in binary.search}
        for library in binary.needed:
            places = brought.get(library, ())
            if places and searched.isdisjoint(places):
                folders.add(places[0])
    return folders


def _below(path: str, folder: str) -> str:
    """What a folder of an RPATH is in the application: $ORIGIN is the folder of the file itself (ld.so(8))."""
    origin = posixpath.dirname(path)
    place = folder.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", "/" + origin)
    return posixpath.normpath(place).strip("/") if folder.startswith(("$ORIGIN", "${ORIGIN}")) else place
