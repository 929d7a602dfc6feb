"""Which packages a requirements file or a lock file names. Nothing in it is run, followed or fetched.

Read are requirements.txt as pip reads it (the output of pip freeze and pip-compile too), uv.lock, poetry.lock,
pdm.lock, pylock.toml and Pipfile.lock. Which of them are installed somewhere, `requirement_markers.py` tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from gpuctl.compat.ask.encodings import encoding_of
from gpuctl.compat.ask.frameworks import marked, pinned_version, requirement_of
from gpuctl.compat.ask.pip_files.lines import requirement_lines
from gpuctl.compat.ask.pip_files.optional import optional_names
from gpuctl.compat.knowledge.indirect import indirect_packages, package_of_repository
from gpuctl.documents import load_json, load_toml
from gpuctl.frozen import dataclass

if TYPE_CHECKING:
    from packaging.requirements import Requirement

Item = TypeVar("Item")

LARGEST = 4 * 1024 * 1024
MOST = 20_000
_LONGEST_MARKER = 4096
_NAMED = re.compile(r"[\w.-]+\s*(?:\[[^\]]*\]\s*)?@")
_PATH_OR_ADDRESS = re.compile(r"\.|[^@;\[]*/")
_EGG = re.compile(r"#(?:[^&]*&)*egg=([A-Za-z0-9][\w.-]*)")
_FOLDER = re.compile(r"#(?:[^&]*&)*subdirectory=([^&\s]*)")
_REPOSITORY = re.compile(r"(?:git|hg|svn|bzr)\+[a-z+]+://[^\s#]*?/([A-Za-z0-9][\w-]*)(?:\.git)?/?(@[^/\s]*)?(?:#\S*)?$")
_FILE = re.compile(r"(?:.*/)?([^/]+?)(?:-[0-9][^/-]*)?(?:\.tar\.gz|\.zip)?/?(?:\[[^\]]*\])?")
_NAMES_A_VERSION = re.compile(r"[@/-]v?([0-9]+(?:\.[0-9]+)+(?:\.?post[0-9]+)?)(?:\.tar\.gz|\.zip)?(?:#\S*)?$")
_ADDRESSES = ("git", "hg", "svn", "bzr", "url", "file")
_TOML_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", ".toml")
_TOML_PACKAGES = re.compile(r"^\[\[packages?\]\]", re.MULTILINE)


@dataclass(frozen=True)
class Pin:
    """A package that a file names: what it requires, from which indexes, and where the file says so.

    One of `markers` has to hold where it is installed. `locked`: a lock file pins it, which may name alternatives.
    `optional`: it is installed only with an extra or a group that has to be named. `required_by`: the release beside
    it that leaves no other version; `named` False: no line of the file names it, that release alone brings it.
    """

    requirement: Requirement
    indexes: tuple[str, ...]
    where: str
    markers: tuple[str, ...] = ("",)
    locked: bool = False
    optional: bool = False
    required_by: str = ""
    named: bool = True

    @property
    def name(self) -> str:
        """The package's name as indexes normalize it."""
        return _normalized(self.requirement.name)

    @property
    def label(self) -> str:
        """The package and what is required of it, for people."""
        return f"{self.name} {str(self.requirement.specifier).removeprefix('==')}".strip()

    @property
    def is_newest(self) -> bool:
        """Whether it is built from a repository as that stands, of no revision that is named."""
        repository = _REPOSITORY.match(self.requirement.url or "")
        return bool(repository and not repository[2])

    @property
    def version(self) -> str:
        """The version that it pins, or that its address names: 2.6.3 of ….git@v2.6.3; "" where there is none."""
        pinned = pinned_version(self.requirement)
        named = _NAMES_A_VERSION.search(self.requirement.url or "")
        return str(pinned) if pinned else named[1] if named else ""


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def decoded(content: bytes, name: str) -> str:
    """Returns a file's text: UTF-8, or UTF-16 with a byte order mark, which Windows writes.

    Raises ValueError, naming file and line, for one that is larger than 4 MiB or no text.
    """
    if len(content) > LARGEST:
        raise ValueError(_too_large(name))
    try:
        return content.decode(encoding_of(content))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{name} line {line} is no text: give a requirements file or a lock file") from None


def read_pins(text: str, name: str) -> tuple[Pin, ...]:
    """Returns the packages that a file's text names. `name` is the file's: for messages, and to tell what it is.

    Raises ValueError, one sentence with the line where there is one, for text that is no such file, and for a
    requirements file that includes another.
    """
    if len(text) > LARGEST:
        raise ValueError(_too_large(name))
    binary = text.find("\0")
    if binary >= 0:
        line = text.count("\n", 0, binary) + 1
        raise ValueError(f"{name} line {line} is no text: give a requirements file or a lock file")
    if text.lstrip().startswith("{"):
        return tuple(_of_pipfile_lock(text, name))
    if name.endswith(_TOML_LOCKS) or _TOML_PACKAGES.search(text):
        return tuple(_of_toml_lock(text, name))
    return tuple(_of_lines(text, name))


def _too_large(name: str) -> str:
    return f"{name} is larger than {LARGEST // 1024**2} MiB: give a requirements file or a lock file"


def _at_most(items: Iterable[Item], name: str) -> tuple[Item, ...]:
    taken = tuple(islice(items, MOST + 1))
    if len(taken) > MOST:
        raise ValueError(f"{name} names more than {MOST} packages: give a requirements file or a lock file")
    return taken


def _of_lines(text: str, name: str) -> Iterator[Pin]:
    lines = _at_most(requirement_lines(text, name), name)
    indexes = tuple(index for line in lines for index in line.indexes)
    for line in lines:
        unnamed = not _NAMED.match(line.requirement)
        if unnamed and _PATH_OR_ADDRESS.match(line.requirement) and ".whl" not in line.requirement:
            # A folder, an archive or a repository: its version shows when it is built.
            address, marker = marked(line.requirement)
            named = _named_by(address)
            if named:
                condition = f" ; {marker}" if marker else ""
                requirement = _requirement(f"{named} @ {address}{condition}", line.where)
                yield Pin(requirement, indexes, line.where, (str(requirement.marker or ""),))
        elif line.requirement:
            requirement = _requirement(line.requirement, line.where)
            yield Pin(requirement, indexes, line.where, (str(requirement.marker or ""),))


def _named_by(address: str) -> str:
    """Returns the package that an address names: by its egg, or as its repository is called.

    A folder or an archive is called like the package, where it is one that is known; "" where it is none.
    """
    egg = _EGG.search(address)
    repository = _REPOSITORY.match(address)
    if egg:
        return egg[1]
    if repository:
        folder = _FOLDER.search(address)
        return package_of_repository(_normalized(repository[1]), folder[1].strip("./") if folder else "")
    file = _FILE.fullmatch(address.partition("#")[0].strip())
    package = package_of_repository(_normalized(file[1])) if file else ""
    return package if package in indirect_packages() else ""


def _requirement(text: str, where: str) -> Requirement:
    try:
        return requirement_of(text)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _of_toml_lock(text: str, name: str) -> Iterator[Pin]:
    document = _toml(text, name)
    packages = document.get("package", document.get("packages"))
    if packages is None and name.endswith(".toml"):
        raise ValueError(f"{name} is no lock file: give uv.lock, poetry.lock, pdm.lock, pylock.toml or requirements")
    named = [one for one in _at_most(packages if isinstance(packages, list) else (), name) if isinstance(one, dict)]
    optional = optional_names(named)
    for package in named:
        for pin in _of_package(package, _address(package), name):
            yield replace(pin, optional=package.get("name") in optional)


def _toml(text: str, name: str) -> dict[str, Any]:
    try:
        return load_toml(text, LARGEST)
    except ValueError as error:
        raise ValueError(f"{name} is no TOML that can be read: {error}") from None


def _of_pipfile_lock(text: str, name: str) -> Iterator[Pin]:
    try:
        document = load_json(text)
    except ValueError as error:
        raise ValueError(f"{name} is no JSON that can be read: {error}") from None
    if not isinstance(document.get("_meta"), dict):
        raise ValueError(f"{name} is JSON, but no Pipfile.lock")
    sources = document["_meta"].get("sources")
    named = [source for source in sources if isinstance(source, dict)] if isinstance(sources, list) else []
    for section in document.values():
        for package, entry in _at_most(section.items() if isinstance(section, dict) else (), name):
            if isinstance(entry, dict):
                indexes = tuple(str(source.get("url")) for source in named if source.get("name") == entry.get("index"))
                version = entry.get("version")
                pinned = version.removeprefix("==") if isinstance(version, str) else None
                yield from _of_package({**entry, "name": package, "version": pinned}, indexes, name)


def _of_package(package: dict[str, Any], indexes: tuple[str, ...], name: str) -> Iterator[Pin]:
    """Yields a lock file's entry, unless it has neither version nor address (a folder)."""
    title, version, extras = package.get("name"), package.get("version"), package.get("extras")
    if isinstance(title, str) and version is None and _from_elsewhere(package):
        yield Pin(_requirement(f"{title} @ {_from_elsewhere(package)}", name), indexes, name, _markers(package), True)
    if isinstance(title, str) and isinstance(version, str) and _repository(package):
        built = _requirement(f"{title} @ git+{_repository(package)}@{version}", name)
        yield Pin(built, indexes, name, _markers(package), locked=True)
    elif isinstance(title, str) and isinstance(version, str):
        wanted = f"[{','.join(map(str, extras))}]" if isinstance(extras, list) else ""
        yield Pin(_requirement(f"{title}{wanted}=={version}", name), indexes, name, _markers(package), locked=True)


def _from_elsewhere(package: dict[str, Any]) -> str:
    """Returns the address that a lock file's package comes from, of no index: pylock.toml's or Pipfile.lock's."""
    places = [package, *(package[key] for key in ("vcs", "archive") if isinstance(package.get(key), dict))]
    found = (place.get(key) for place in places for key in _ADDRESSES)
    return next((address.replace(" ", "%20") for address in found if isinstance(address, str)), "")


def _repository(package: dict[str, Any]) -> str:
    """Returns the repository that a lock file's package is built from, as uv and Poetry write it; "" for none."""
    source = package.get("source")
    if not isinstance(source, dict):
        return ""
    address = source.get("git") or (source.get("url") if source.get("type") == "git" else "")
    return re.split(r"[?#\s]", address)[0] if isinstance(address, str) else ""


def _address(package: dict[str, Any]) -> tuple[str, ...]:
    """Returns where a lock file's package comes from: uv writes a registry, Poetry a url, pip an index."""
    source = package.get("source")
    places = [package.get("index"), *(source.get(key) for key in ("registry", "url") if isinstance(source, dict))]
    return tuple(place for place in places if isinstance(place, str))


def _markers(package: dict[str, Any]) -> tuple[str, ...]:
    """Returns the markers of which one must hold: uv lists them, Poetry may keep one for each group."""
    marker = next((package[key] for key in ("resolution-markers", "markers", "marker") if key in package), "")
    several = list(marker.values()) if isinstance(marker, dict) else marker
    return tuple(str(one) for one in several) if isinstance(several, list) else (str(several),)
