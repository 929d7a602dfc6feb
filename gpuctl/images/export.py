"""The files of an image on this host, as the daemon exports them (`docker save`): nothing is pulled or started.

https://github.com/moby/docker-image-spec/blob/main/spec.md: a tar whose manifest.json names the layers, each a tar
itself; a file .wh.NAME in a layer takes NAME of those below away.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import BinaryIO
from urllib.parse import quote

from gpuctl.frozen import dataclass
from gpuctl.host.decode import parse_objects, texts_in
from gpuctl.host.look.deadline import DeadlineExceeded
from gpuctl.host.look.large import is_gzip, saved, unpacked_file
from gpuctl.host.trust import Distrusted
from gpuctl.images.config import Unreadable

EXPORT_LIMIT = 32 << 30
EXPORT_SECONDS = 900.0
_MOST_FILES, _MOST_LAYERS = 1_000_000, 200
_MANIFEST_LIMIT = 1 << 20
_GONE, _ALL_GONE = ".wh.", ".wh..wh..opq"


@dataclass(frozen=True)
class LayerFile:
    """A file of an image. `target` is what a link leads to, None for a regular file; `layer` counts from the lowest."""

    layer: int
    size: int
    offset: int
    executable: bool
    target: str | None = None


class ImageFiles:
    """The files that containers of an image begin with, by path without the leading "/"."""

    def __init__(self, files: Mapping[str, LayerFile], layers: list[BinaryIO]) -> None:
        self.files = files
        self._layers = layers

    def opened(self, path: str) -> BinaryIO:
        """Returns a regular file, open for reading, from any place in it."""
        found = self.files[path]
        return io.BufferedReader(_Part(self._layers[found.layer], found.offset, found.size))

    def text(self, path: str, limit: int = 1 << 16) -> str | None:
        """Returns the text of a regular file of at most `limit` bytes; None where there is none."""
        found = self.files.get(path)
        if found is None or found.target is not None or found.size > limit:
            return None
        with self.opened(path) as file:
            return file.read().decode("utf-8", "replace")


@contextmanager
def exported(reference: str, endpoint: str) -> Iterator[ImageFiles]:
    """Gives the files of an image that the daemon at `endpoint` has. Raises Unreadable."""
    try:
        with ExitStack() as stack:
            file = stack.enter_context(
                saved(endpoint, f"/images/{quote(reference, safe='/:@')}/get", EXPORT_LIMIT, EXPORT_SECONDS)
            )
            yield _image_files(file, stack)
    except (OSError, ValueError, tarfile.TarError, DeadlineExceeded, Distrusted, EOFError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unreadable(f"The files of {reference} could not be read from the daemon: {why}.") from None


def _image_files(file: BinaryIO, stack: ExitStack) -> ImageFiles:
    outer = {member.name: member for member in _members(file)}
    manifest = outer.get("manifest.json")
    if manifest is None or manifest.size > _MANIFEST_LIMIT:
        raise ValueError("its export has no manifest.json, or was cut off")
    with _part(file, manifest) as told:
        images = parse_objects(told.read())
    names = texts_in(images[0], "Layers") if images else ()
    if len(names) > _MOST_LAYERS:
        raise ValueError(f"it has more than {_MOST_LAYERS} layers")
    layers = [_layer(file, outer, name, stack) for name in names]
    return ImageFiles(_merged(layers), layers)


def _layer(file: BinaryIO, outer: Mapping[str, tarfile.TarInfo], name: str, stack: ExitStack) -> BinaryIO:
    member = outer.get(name)
    if member is not None and member.issym():  # a layer that is there twice
        member = outer.get(posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)))
    if member is None:
        raise ValueError("its export names a layer that it does not have")
    layer = _part(file, member)
    beginning = layer.read(4)
    layer.seek(0)
    if is_gzip(beginning):
        return stack.enter_context(unpacked_file(layer, EXPORT_LIMIT))
    if beginning == b"\x28\xb5\x2f\xfd":
        raise ValueError("its layers are packed by zstd, which gpuctl does not read")
    return layer


def _part(file: BinaryIO, member: tarfile.TarInfo) -> BinaryIO:
    return io.BufferedReader(_Part(file, member.offset_data, member.size))


def _members(file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """Each member of a tar, of which none is kept: an image has hundreds of thousands."""
    if not file.read(1):
        return  # a layer of nothing at all
    file.seek(0)
    archive = tarfile.TarFile(fileobj=file)
    while member := archive.next():
        archive.members = []  # type: ignore[attr-defined]  # tarfile's list of all that it has seen
        yield member


def _merged(layers: list[BinaryIO]) -> dict[str, LayerFile]:
    """From the top down: what an upper layer has, or takes away, a lower one has no say in."""
    files: dict[str, LayerFile] = {}
    gone: set[str] = set()
    for number in range(len(layers) - 1, -1, -1):
        gone_below: set[str] = set()
        for member in _members(layers[number]):
            path = posixpath.normpath(member.name).lstrip("/")
            folder, name = posixpath.split(path)
            if name.startswith(_GONE):
                gone_below.add(folder if name == _ALL_GONE else posixpath.join(folder, name.removeprefix(_GONE)))
            elif not member.isdir() and path not in files and not _is_gone(path, gone):
                files[path] = _file(member, number)
            if len(files) > _MOST_FILES:
                raise ValueError(f"it has more than {_MOST_FILES} files")
        gone |= gone_below
    return files


def _is_gone(path: str, gone: set[str]) -> bool:
    while path:
        if path in gone:
            return True
        path = posixpath.dirname(path)
    return False


def _file(member: tarfile.TarInfo, layer: int) -> LayerFile:
    target = "/" + member.linkname.lstrip("/") if member.islnk() else member.linkname if member.issym() else None
    return LayerFile(layer, member.size, member.offset_data, bool(member.mode & 0o111), target)


class _Part(io.RawIOBase):
    """A part of an open file, as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), max(0, self._size - self._at))
        self._file.seek(self._start + self._at)
        read = self._file.read(wanted)
        buffer[: len(read)] = read
        self._at += len(read)
        return len(read)
