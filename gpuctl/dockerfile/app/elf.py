"""A program or library (ELF): what it needs, read from its headers and its dynamic section, whatever its size.

The format: https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html, and for the versions of symbols
https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/symversion.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from gpuctl.frozen import dataclass

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

MAGIC = b"\x7fELF"
MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64", "EM_386": "i386", "EM_ARM": "arm", "EM_PPC64": "ppc64le"}
"""Processors as the kernel calls them (uname -m), by what ELF calls them."""
_MOST_SEGMENTS, _MOST_TAGS, _MOST_VERSIONS, _MOST_SECTIONS = 256, 4096, 4096, 256
_LONGEST_NAME = 4096
_NAMES_LIMIT, _TEXT_LIMIT = 2 << 20, 1 << 20
"""Bytes that are looked through for what a program opens by name: a hint, for which no large file is read."""
_OPENED = re.compile(rb"(?<=\0)(lib[A-Za-z0-9_+-]{1,60}\.so(?:\.[0-9]{1,5}){0,3})(?=\0)")


class BrokenBinary(Exception):
    """The file begins as a program and is none. The message is what is wrong with it, a part of a sentence."""


@dataclass(frozen=True)
class Binary:
    """A program or library. `search` are its RPATH and RUNPATH, `versions` libraries with a symbol version of each.

    `loader` is the interpreter that starts it, None for a library or what is linked statically. `opened` are libraries
    that its text names, where it can open them by name: no more than a hint. Its texts are others': untrusted.
    """

    path: str
    machine: str
    soname: str | None = None
    needed: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    loader: str | None = None
    opened: tuple[str, ...] = ()


def read_binary(stream: IO[bytes], path: str) -> Binary | None:
    """Returns what a file needs; None for an object file, a core dump, or one of symbols. Raises BrokenBinary."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        return _read(ELFFile(stream), stream, path)
    except BrokenBinary:
        raise
    except (ELFError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        # What pyelftools says of a damaged file, in whichever way.
        raise BrokenBinary("it is damaged or cut off") from error


def _read(elf: ELFFile, stream: IO[bytes], path: str) -> Binary | None:
    if elf.header.e_type not in ("ET_EXEC", "ET_DYN") or path.endswith(".debug"):
        return None
    machine = MACHINES.get(str(elf.header.e_machine), str(elf.header.e_machine))
    segments = _segments(elf, stream)
    loader = next((_text(stream, one.p_offset) for one in segments if one.p_type == "PT_INTERP"), None)
    tags = _tags(elf, stream, segments)
    if not tags:
        return Binary(path, machine, loader=loader)
    names = _offset(segments, next((value for tag, value in tags if tag == "DT_STRTAB"), 0))

    def named(*wanted: str) -> tuple[str, ...]:
        return tuple(_text(stream, names + value) for tag, value in tags if tag in wanted)

    return Binary(
        path,
        machine,
        next(iter(named("DT_SONAME")), None),
        named("DT_NEEDED"),
        tuple(folder for paths in named("DT_RPATH", "DT_RUNPATH") for folder in paths.split(":") if folder),
        tuple(_versions(elf, stream, segments, dict(tags), names)),
        loader,
        _opened(elf, stream, names, dict(tags).get("DT_STRSZ", 0)),
    )


def _segments(elf: ELFFile, stream: IO[bytes]) -> list[Any]:
    from elftools.common.utils import struct_parse

    header = elf.header
    if header.e_phnum > _MOST_SEGMENTS:
        raise BrokenBinary(f"it has more than {_MOST_SEGMENTS} segments")
    places = (header.e_phoff + number * header.e_phentsize for number in range(header.e_phnum))
    segments = [struct_parse(elf.structs.Elf_Phdr, stream, place) for place in places]
    if any(one.p_type == "PT_LOAD" and one.p_offset + one.p_filesz > elf.stream_len for one in segments):
        raise BrokenBinary("it is cut off")
    return segments


def _tags(elf: ELFFile, stream: IO[bytes], segments: list[Any]) -> list[tuple[str, int]]:
    from elftools.common.utils import struct_parse

    dynamic = next((one for one in segments if one.p_type == "PT_DYNAMIC"), None)
    if dynamic is None:
        return []
    size = elf.structs.Elf_Dyn.sizeof()
    found: list[tuple[str, int]] = []
    for number in range(min(dynamic.p_filesz // size, _MOST_TAGS)):
        entry = struct_parse(elf.structs.Elf_Dyn, stream, dynamic.p_offset + number * size)
        if entry.d_tag == "DT_NULL":
            break
        found.append((str(entry.d_tag), entry.d_val))
    return found


def _offset(segments: list[Any], address: int) -> int:
    """Where in the file lies what is loaded at an address. Raises BrokenBinary where nothing is."""
    for one in segments:
        if one.p_type == "PT_LOAD" and one.p_vaddr <= address < one.p_vaddr + one.p_filesz:
            return int(one.p_offset + address - one.p_vaddr)
    raise BrokenBinary("it is damaged or cut off")


def _text(stream: IO[bytes], offset: int) -> str:
    stream.seek(offset)
    raw = stream.read(_LONGEST_NAME)
    if b"\0" not in raw:
        raise BrokenBinary("it is damaged or cut off")
    return raw.partition(b"\0")[0].decode("utf-8", "replace")


def _versions(
    elf: ELFFile, stream: IO[bytes], segments: list[Any], tags: dict[str, int], names: int
) -> Iterator[tuple[str, str]]:
    """Each library with a version of its symbols that is needed: ("libc.so.6", "GLIBC_2.34")."""
    from elftools.common.utils import struct_parse

    if "DT_VERNEED" not in tags:
        return
    place, seen = _offset(segments, tags["DT_VERNEED"]), 0
    for _ in range(min(tags.get("DT_VERNEEDNUM", 0), _MOST_VERSIONS)):
        needed = struct_parse(elf.structs.Elf_Verneed, stream, place)
        library, at = _text(stream, names + needed.vn_file), place + needed.vn_aux
        for _ in range(needed.vn_cnt):
            seen += 1
            if seen > _MOST_VERSIONS:
                raise BrokenBinary(f"it needs more than {_MOST_VERSIONS} versions of symbols")
            version = struct_parse(elf.structs.Elf_Vernaux, stream, at)
            yield library, _text(stream, names + version.vna_name)
            at += version.vna_next
        place += needed.vn_next


def _opened(elf: ELFFile, stream: IO[bytes], names: int, size: int) -> tuple[str, ...]:
    if size > _NAMES_LIMIT or not 0 < elf.num_sections() <= _MOST_SECTIONS:
        return ()
    stream.seek(names)
    if b"\0dlopen\0" not in stream.read(size):
        return ()
    text = elf.get_section_by_name(".rodata")
    if text is None:
        return ()
    stream.seek(text["sh_offset"])
    raw = b"\0" + stream.read(min(text["sh_size"], _TEXT_LIMIT)) + b"\0"
    return tuple(sorted({one.decode("ascii") for one in _OPENED.findall(raw)}))
