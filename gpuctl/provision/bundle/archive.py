"""A bundle as one file: a tar archive of which every byte follows from its manifest and what that lists.

So the same content gives the same bytes, any tar opens it, and a reader needs no trust in anything that it finds: what
is not the one archive that the manifest describes is refused before a member is looked at. That the packages are the
publisher's is not said by the manifest, which anybody can write, but by the repository's signature: see use.py.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any

from gpuctl.bounds import amount
from gpuctl.frozen import dataclass
from gpuctl.host.decode import number_in, objects_in, parse_object, text_in

SCHEMA = "gpuctl.bundle-manifest/1"
MANIFEST = "manifest.json"
KEYS = ("key.asc", "key.gpg")
"""The repository's public key, in text or binary."""
ZIPAPP = "gpuctl.pyz"
REPOSITORY = "repository/"
"""Before the paths of the signed repository: what its index and its packages are called there."""
LIMIT = 256 << 20
"""Bytes of a bundle. One of a toolkit has a tenth of it."""
KINDS = ("deb", "rpm")
_MANIFEST_LIMIT = 1 << 20
_FILES_LIMIT = 64
_LONGEST, _NAME = 240, 80
"""Letters of a path in the repository, and of a name in the archive: ustar has room for 100 of these."""
_BLOCK = 512
_END = bytes(2 * _BLOCK)
_PATH = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._+~%^-]*/)*[A-Za-z0-9_][A-Za-z0-9._+~%^-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~:_-]{0,99}")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}")


class BundleProblem(Exception):
    """A file is no bundle that can be used; the message is a clause that says why."""


@dataclass(frozen=True)
class BundledFile:
    """A member of the archive: its path in there, its size in bytes, and its SHA-256.

    `place` is its path in the repository, "" for what is not of it.
    """

    path: str
    size: int
    sha256: str
    place: str = ""


@dataclass(frozen=True)
class BundledPackage:
    """A package, and the path of its file in the archive."""

    name: str
    version: str
    file: str


@dataclass(frozen=True)
class Manifest:
    """What a bundle is for, and what is in it. `packages` are in the order in which one needs no later one."""

    os: str
    """A distribution's id and version, as ubuntu22.04."""
    kind: str
    """One of KINDS."""
    architecture: str
    """amd64 or arm64."""
    toolkit: str
    """The version of the toolkit, as its packages have it."""
    repository: str
    """The address that it was built from."""
    fingerprint: str
    """The key's, which signs the repository."""
    packages: tuple[BundledPackage, ...]
    files: tuple[BundledFile, ...]
    """All members but the manifest, in their order."""


@dataclass(frozen=True)
class Bundle:
    """A manifest, and its files by their paths."""

    manifest: Manifest
    files: Mapping[str, bytes]

    @property
    def key(self) -> bytes:
        """The repository's public key."""
        return next(self.files[name] for name in KEYS if name in self.files)

    @property
    def repository(self) -> dict[str, bytes]:
        """The files of the signed repository, by their paths there."""
        return {one.place: self.files[one.path] for one in self.manifest.files if one.place}


def path_of(place: str) -> str:
    """Returns the path in the archive for a file of the repository: names of lists are longer than a tar's may be."""
    folder, slash, name = place.rpartition("/")
    return f"{REPOSITORY}{folder}{slash}{name[-_NAME:]}"


def content_of(
    own: Mapping[str, bytes], repository: Mapping[str, bytes]
) -> tuple[dict[str, bytes], tuple[BundledFile, ...]]:
    """Returns the files of a bundle by their paths, and what a manifest says of them.

    `own` are its own, by their paths, and `repository` those of the repository by theirs.
    """
    own_files = [_listed(path, raw) for path, raw in own.items()]
    others = [_listed(path_of(place), raw, place) for place, raw in repository.items()]
    files = {**own, **{path_of(place): raw for place, raw in repository.items()}}
    return files, (*own_files, *others)


def _listed(path: str, raw: bytes, place: str = "") -> BundledFile:
    return BundledFile(path, len(raw), hashlib.sha256(raw).hexdigest(), place)


def pack(bundle: Bundle) -> bytes:
    """Returns the archive. Raises BundleProblem where a bundle cannot hold what is to go in."""
    fault = _fault(bundle.manifest)
    if fault:
        raise BundleProblem(fault)
    members = {MANIFEST: manifest_json(bundle.manifest).encode(), **bundle.files}
    return b"".join(_header(path, len(raw)) + _padded(raw) for path, raw in members.items()) + _END


def unpack(raw: bytes) -> Bundle:
    """Returns the bundle that an archive is. Raises BundleProblem where pack has not made it, byte for byte."""
    size = _first_size(raw)
    manifest = _parsed(raw[_BLOCK : _BLOCK + size])
    whole = _room(size) + sum(map(_size, manifest.files)) + len(_END)
    if len(raw) < whole:
        raise BundleProblem(f"it is cut off: it has {len(raw):,} of its {whole:,} bytes")
    at, files = _room(size), {}
    for one in manifest.files:
        begin, end, at = at + _BLOCK, at + _BLOCK + one.size, at + _room(one.size)
        if raw[begin - _BLOCK : begin] != _header(one.path, one.size):
            raise BundleProblem(f"where its manifest tells of {one.path} there is something else")
        files[one.path] = raw[begin:end]
        if hashlib.sha256(files[one.path]).hexdigest() != one.sha256 or any(raw[end:at]):
            raise BundleProblem(f"{one.path} in it is not what its manifest tells: it was changed or damaged")
    if raw[at:] != _END or raw[_BLOCK : _room(size)] != _padded(manifest_json(manifest).encode()):
        raise BundleProblem("it has more in it than its manifest tells")
    return Bundle(manifest, files)


def manifest_json(manifest: Manifest) -> str:
    """Returns a manifest as the JSON that a bundle begins with."""
    return json.dumps({"schema": SCHEMA, **manifest_fields(manifest)}, indent=1) + "\n"


def manifest_fields(manifest: Manifest) -> dict[str, Any]:
    """Returns what a manifest tells, as JSON has it."""
    fields = dict(vars(manifest))
    return {**fields, "packages": _plain(manifest.packages), "files": _plain(manifest.files)}


def _plain(parts: Iterable[BundledFile | BundledPackage]) -> list[dict[str, Any]]:
    return [dict(vars(part)) for part in parts]


def _header(path: str, size: int) -> bytes:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = size, 0o755 if path == ZIPAPP else 0o644
    return entry.tobuf(tarfile.USTAR_FORMAT)


def _padded(raw: bytes) -> bytes:
    return raw + bytes(-len(raw) % _BLOCK)


def _room(size: int) -> int:
    """Bytes that a member of this size takes, with its header."""
    return _BLOCK + size + -size % _BLOCK


def _first_size(raw: bytes) -> int:
    """The size of the manifest, by its header."""
    told = re.fullmatch(rb"[0-7]{11}\0", raw[124:136])
    size = int(told[0][:-1], 8) if told else 0
    if not 0 < size <= _MANIFEST_LIMIT or raw[:_BLOCK] != _header(MANIFEST, size):
        raise BundleProblem("it is no bundle of `gpuctl bundle`")
    if len(raw) < _room(size):
        raise BundleProblem("it is cut off in its manifest")
    return size


def _parsed(raw: bytes) -> Manifest:
    try:
        found = parse_object(raw)
        if found.get("schema") != SCHEMA:
            raise ValueError(f"it is none of {SCHEMA}: another version of gpuctl made it")
        manifest = _decoded(found)
    except ValueError as error:
        raise BundleProblem(f"its manifest cannot be read: {error}") from None
    fault = _fault(manifest)
    if fault:
        raise BundleProblem(fault)
    return manifest


def _decoded(found: Mapping[str, Any]) -> Manifest:
    packages = (
        tuple(_text(one, name) for name in ("name", "version", "file")) for one in objects_in(found, "packages")
    )
    files = (
        BundledFile(_text(one, "path"), number_in(one, "size", LIMIT) or 0, _text(one, "sha256"), _text(one, "place"))
        for one in objects_in(found, "files")
    )
    names = ("os", "kind", "architecture", "toolkit", "repository", "fingerprint")
    told = {name: _text(found, name) for name in names}
    return Manifest(**told, packages=tuple(BundledPackage(*one) for one in packages), files=tuple(files))


def _text(found: Mapping[str, Any], name: str) -> str:
    return text_in(found, name) or ""


def _fault(manifest: Manifest) -> str:
    """What is wrong with a manifest by itself, "" for nothing."""
    paths = [one.path for one in manifest.files]
    odd = next((one.place or one.path for one in manifest.files if not _is_path(one)), None)
    words = (manifest.os, manifest.architecture, manifest.toolkit, *_words(manifest.packages))
    faults = {
        f"its manifest tells of a file that no bundle has: {odd!r:.100}": odd is not None,
        "its manifest tells of too many files, or of one twice": len(paths) > _FILES_LIMIT
        or len({*paths}) < len(paths),
        "its manifest does not tell of one key": sum(path in KEYS for path in paths) != 1,
        f"what its manifest tells of is larger than {amount(LIMIT)}": sum(map(_size, manifest.files)) > LIMIT,
        "its manifest does not tell what it is for": manifest.kind not in KINDS or not all(map(_WORD.fullmatch, words)),
        "its manifest lacks a fingerprint": not _FINGERPRINT.fullmatch(manifest.fingerprint),
        "its manifest lacks a sum": not all(_SHA256.fullmatch(one.sha256) for one in manifest.files),
        "its manifest tells of packages that are not in it": not {one.file for one in manifest.packages} <= {*paths},
    }
    return next((words for words, holds in faults.items() if holds), "")


def _size(file: BundledFile) -> int:
    return _room(file.size)


def _words(packages: Iterable[BundledPackage]) -> Iterable[str]:
    return (word for one in packages for word in (one.name, one.version))


def _is_path(file: BundledFile) -> bool:
    if not file.place:
        return file.path in (*KEYS, ZIPAPP)
    here = file.path == path_of(file.place) and len(file.place) <= _LONGEST
    return here and bool(_PATH.fullmatch(file.place) and _PATH.fullmatch(file.path))
