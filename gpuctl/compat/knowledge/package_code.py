"""For which GPUs packages have code of their own, beside that of a framework. From data/package_code."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from gpuctl.compat.knowledge.code import Code, code_of
from gpuctl.compat.tables.loader import load
from gpuctl.compat.versions import leading, parts
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

_FLOOR = regex(r"[0-9]+\.[0-9]")


@dataclass(frozen=True)
class PackageCode:
    """A package, by its normalized name, and since which version its wheels hold which code, as `code_of` takes it.

    `since` maps versions, oldest first, to that code, or to that of each library where there is one for each CUDA
    version: "12.0-12.5" names the first and the last that one serves, "12.8-12" goes on to the end of 12.x. What
    releases before the first of them need is not known, nor what those do from one with None on. `until`: the newest
    whose wheel for x86_64, or what builds it, was read. Of newer ones, and where none was, no more is known than from
    which compute capability on they run. Where the code begins with that ("8.0 sm_80 sm_90"), a document says so of
    every build. `also`: packages whose releases are numbered with it. `on_pypi`: the newest that PyPI has, where its
    makers' own is newer.
    """

    package: str
    since: Mapping[str, str | Mapping[str, str] | None]
    source: str
    until: str | None = None
    also: tuple[str, ...] = ()
    on_pypi: str | None = None


@dataclass(frozen=True)
class ReleaseCode:
    """The code that a release has of its own, by library, and the document that says so.

    `libraries` are those of `PackageCode`, with "" for the CUDA versions of one that serves them all. `is_read`: it is
    known what they hold for x86_64, else only what they need at least.
    """

    libraries: tuple[tuple[str, str], ...]
    source: str
    is_read: bool

    def codes(self, cuda: str) -> tuple[Code, ...]:
        """Returns the code that runs beside a framework's build for a CUDA version; "" where that is not known."""
        found = [text for range, text in self.libraries if not range or _serves(range, cuda)]
        if self.is_read and found:
            return (code_of(found[0]),)
        lowest = min((code_of(text).lowest for _, text in self.libraries), key=parts)
        return tuple(code_of(lowest, machine) for machine in ("x86_64", "aarch64"))

    def lacks(self, cuda: str) -> bool:
        """Returns whether it has a library for each CUDA version, and none for this one."""
        ranges = [range for range, _ in self.libraries if range]
        return self.is_read and "." in cuda and bool(ranges) and not any(_serves(range, cuda) for range in ranges)

    @property
    def cudas(self) -> str:
        """The CUDA versions for which it has a library each, in words: "11.8, 12.0 to 12.5"."""
        ends = (range.partition("-") for range, _ in self.libraries)
        return ", ".join(first if first == last or not last else f"{first} to {last}" for first, _, last in ends)


def release_code(package: str, version: str | None, is_wheel: bool = True) -> ReleaseCode | None:
    """Returns what a release (None: the newest) of a package has of code of its own; None: not known.

    `is_wheel`: it is the one that PyPI has. Other builds of a release, in images or with a tag, may hold code for other
    GPUs: of them only that counts which a document says.
    """
    row = package_code().get(package)
    if row is None:
        return None
    taken = version or (row.on_pypi if is_wheel else None)
    if taken and not leading(taken):
        return None  # its numbers are longer than those of any release
    number = parts(leading(taken)) if taken else None
    reached = [since for since in row.since if number is None or parts(since) <= number]
    if not reached:
        return None
    held = row.since[reached[-1]]
    if held is None:
        return None
    libraries = (("", held),) if isinstance(held, str) else tuple(held.items())
    if not is_wheel:
        libraries = tuple(("", told[0]) for _, text in libraries if (told := _FLOOR.match(text)))
    if not libraries:
        return None
    is_read = is_wheel and number is not None and row.until is not None and number <= parts(row.until)
    return ReleaseCode(libraries, row.source, is_read)


def is_of_every_release(package: str) -> bool:
    """Returns whether what is known of a package's code is known of all its releases alike."""
    row = package_code().get(package)
    return row is not None and [*row.since] == ["0"]


@cache
def package_code() -> dict[str, PackageCode]:
    """Returns the packages by name, those too that are numbered with another."""
    return {name: row for row in load("package_code", PackageCode) for name in (row.package, *row.also)}


def _serves(range: str, cuda: str) -> bool:
    if "." not in cuda:
        return False
    first, _, last = range.partition("-")
    number, end = parts(cuda)[:2], parts(last or first)
    return parts(first) <= number and number[: len(end)] <= end
