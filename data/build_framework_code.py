"""Reads from a published wheel for which GPUs it holds code: for `builds` in frameworks.jsonl, and package_code.jsonl.

    python data/build_framework_code.py torch==2.7.1 torch/lib/libtorch_cuda.so --megabytes=400
    torch-2.7.1-cp311-cp311-manylinux_2_28_x86_64.whl: sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90

The second word names a library in the wheel: the one with the framework's own kernels, since what was linked into
others (libtorch_cuda_linalg.so has magma in it) is built for other GPUs. Without one the libraries are listed, with
their sizes. pip tells where the wheel lies; of it only the directory and that library are read, by ranges, or as much
of the library as is asked for. Not part of any test: it asks PyPI.

Each library holds fat binaries: a header (magic, version, its own size, the size of what follows), and after it entries
with headers of their own (kind: 1 PTX, 2 machine code; compute capability), whose payload may be compressed. PTX names
its target at its beginning, which LZ4 leaves as it is: "compute_90a", which is compiled for no other GPU. What machine
code is for one capability alone ("sm_90a") is in the payload: where it is compressed, it is not told here. What most
fat binaries hold is what the library was built for; a few hold more, where a kernel was written for one GPU.
Source: the listing of cuobjdump (nvidia-cuda-cuobjdump on PyPI), with which the output was compared.
"""

from __future__ import annotations

import io
import json
import re
import struct
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import IO

_MAGIC = struct.pack("<I", 0xBA55ED50)
_HEADER = struct.Struct("<IHHQ")
_ENTRY = struct.Struct("<HHIQIIHHI")
_KINDS = {1: "compute", 2: "sm"}
_TARGET = re.compile(rb"\.target\s+sm_([0-9]+[af]?)")
_BEGINNING = 256
"""Bytes of PTX in which its target is named."""
_BLOCK = 1 << 22
_LARGEST = 1 << 28


def opened(address: str, method: str, headers: dict[str, str] | None = None) -> HTTPResponse:
    if not address.startswith("https://"):
        raise SystemExit(f"{address} is no address on an HTTPS server")
    request = urllib.request.Request(address, headers=headers or {}, method=method)  # noqa: S310
    answer: HTTPResponse = urllib.request.urlopen(request, timeout=120)  # noqa: S310
    return answer


class Ranges(io.RawIOBase):
    """A file on an HTTP server that is read by ranges."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._place = 0
        with opened(address, "HEAD") as answer:
            self._size = int(answer.headers["Content-Length"])

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        end = min(self._place + len(buffer), self._size)
        if end <= self._place:
            return 0
        with opened(self._address, "GET", {"Range": f"bytes={self._place}-{end - 1}"}) as answer:
            content: bytes = answer.read()
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)


def _address(requirement: str, options: list[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps", "--ignore-installed"]
        # Only for a folder of its own does pip look for another platform's wheels: nothing is put there.
        subprocess.run([*pip, "--target", folder, "--report", str(report), *options, requirement], check=True)
        return str(json.loads(report.read_text())["install"][0]["download_info"]["url"])


def code_in(library: IO[bytes], at_most: int) -> tuple[set[str], set[str]]:
    """Returns the names of the code ("sm_90", "compute_90") in most of a library's fat binaries, and in some alone.

    `at_most`: so many of the library's bytes are read.
    """
    found: list[set[str]] = []
    window = b""
    for _ in range(0, at_most, _BLOCK):
        block = library.read(_BLOCK)
        if not block:
            break
        window += block
        names, done = _names(window)
        found += names
        window = window[done:]
    times = Counter(name for names in found for name in names)
    most = {name for name, count in times.items() if 2 * count > len(found)}
    return most, times.keys() - most


def _names(window: bytes) -> tuple[list[set[str]], int]:
    """Returns the names in each fat binary that a window holds whole, and how much of it is done with."""
    found: list[set[str]] = []
    place = window.find(_MAGIC)
    while 0 <= place <= len(window) - _HEADER.size:
        _, version, header, size = _HEADER.unpack_from(window, place)
        if version == 1 and header == _HEADER.size and size < _LARGEST:
            end = place + header + size
            if end > len(window):
                return found, place
            found.append(set(_entries(window, place + header, end)))
            place = end - 1
        place = window.find(_MAGIC, place + 1)
    return found, max(place if place >= 0 else len(window) - len(_MAGIC), 0)


def _entries(window: bytes, entry: int, end: int) -> Iterator[str]:
    while entry + _ENTRY.size <= end:
        kind, _, own, payload, *_, capability = _ENTRY.unpack_from(window, entry)
        if kind in _KINDS:
            named = _TARGET.search(window, entry + own, entry + own + min(payload, _BEGINNING))
            yield f"{_KINDS[kind]}_{named[1].decode() if named else capability}"
        entry += own + payload


def main() -> None:
    requirement, *more = sys.argv[1:]
    at_most = next((int(word.partition("=")[2]) << 20 for word in more if word.startswith("--megabytes=")), 1 << 40)
    more = [word for word in more if not word.startswith("--megabytes=")]
    options = [word for word in more if word.startswith("--")]
    libraries = [word for word in more if not word.startswith("--")]
    address = _address(requirement, options)
    with zipfile.ZipFile(io.BufferedReader(Ranges(address), _BLOCK)) as wheel:
        if not libraries:
            for member in wheel.infolist():
                if ".so" in member.filename:
                    print(f"{member.compress_size:12,} {member.filename}")
        for library in libraries:
            with wheel.open(library) as member:
                most, some = code_in(member, at_most)
            rare = f" (in some fat binaries alone: {_in_order(some)})" if some else ""
            print(f"{address.rpartition('/')[2]}: {_in_order(most)}{rare}", flush=True)


def _in_order(names: Iterable[str]) -> str:
    def place(name: str) -> tuple[bool, int, str]:
        number = name.rpartition("_")[2]
        return name.startswith("compute"), int(number.rstrip("af")), number

    return " ".join(sorted(names, key=place))


if __name__ == "__main__":
    main()
