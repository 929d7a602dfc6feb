"""A program or library (ELF): what it needs, read from its headers and its dynamic section, whatever its size.

The format: https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html, and for the versions of symbols
https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/symversion.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from io import SEEK_END
from typing import IO, TYPE_CHECKING, Any

from gpuctl.frozen import dataclass

if TYPE_CHECKING:
    from elftools.elf.structs import ELFStructs

MAGIC = b"\x7fELF"
MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64", "EM_386": "i386", "EM_ARM": "arm", "EM_PPC64": "ppc64le"}
"""Processors as the kernel calls them (uname -m), by what ELF calls them."""
_CLASSES, _ORDERS = {1: 32, 2: 64}, {1: True, 2: False}
"""Bits, and whether numbers are little-endian, by the bytes EI_CLASS and EI_DATA."""
_X32 = 32
"""Bits of a program for the x32 ABI, which no image has libraries for."""
_DAMAGED = "it is damaged or cut off"
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


@dataclass(frozen=True)
class _File:
    """An open file, its size, the structures of its kind of ELF, and its header."""

    stream: IO[bytes]
    size: int
    structs: ELFStructs
    header: Any


def read_binary(stream: IO[bytes], path: str) -> Binary | None:
    """Returns what a file needs; None for an object file, a core dump, or one of symbols. Raises BrokenBinary."""
    from elftools.common.exceptions import ELFError

    try:
        return _read(_opened_file(stream), path)
    except BrokenBinary:
        raise
    except (ELFError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        # What pyelftools says of a damaged file, in whichever way.
        raise BrokenBinary(_DAMAGED) from error


def _opened_file(stream: IO[bytes]) -> _File:
    from elftools.common.utils import struct_parse

    stream.seek(0)
    beginning = stream.read(20)
    if len(beginning) < 20 or beginning[4] not in _CLASSES or beginning[5] not in _ORDERS:
        raise BrokenBinary(_DAMAGED)
    structs = _structs(_CLASSES[beginning[4]], _ORDERS[beginning[5]], beginning[7], beginning[18:20])
    return _File(stream, stream.seek(0, SEEK_END), structs, struct_parse(structs.Elf_Ehdr, stream, 0))


@lru_cache(maxsize=32)
def _structs(bits: int, little_endian: bool, abi: int, machine: bytes) -> ELFStructs:
    """pyelftools makes them anew for each file, which takes longer than reading one."""
    from elftools.elf.enums import ENUM_E_MACHINE, ENUM_EI_OSABI
    from elftools.elf.structs import ELFStructs

    structs = ELFStructs(little_endian=little_endian, elfclass=bits)
    structs.create_basic_structs()
    number = int.from_bytes(machine, "little" if little_endian else "big")
    structs.create_advanced_structs("ET_DYN", _named(ENUM_E_MACHINE, number), _named(ENUM_EI_OSABI, abi))
    return structs


def _named(names: Mapping[str, Any], number: int) -> Any:
    return next((name for name, value in names.items() if value == number), number)


def _read(file: _File, path: str) -> Binary | None:
    if file.header.e_type not in ("ET_EXEC", "ET_DYN") or path.endswith(".debug"):
        return None
    machine = MACHINES.get(str(file.header.e_machine), str(file.header.e_machine))
    if machine == "x86_64" and file.structs.elfclass == _X32:
        machine = "x32"
    segments = _segments(file)
    loader = next((_text(file, one.p_offset) for one in segments if one.p_type == "PT_INTERP"), None)
    tags = _tags(file, segments)
    if not tags:
        return Binary(path, machine, loader=loader)
    names = _offset(segments, next((value for tag, value in tags if tag == "DT_STRTAB"), 0))

    def named(*wanted: str) -> tuple[str, ...]:
        return tuple(_text(file, names + value) for tag, value in tags if tag in wanted)

    return Binary(
        path,
        machine,
        next(iter(named("DT_SONAME")), None),
        named("DT_NEEDED"),
        tuple(folder for paths in named("DT_RPATH", "DT_RUNPATH") for folder in paths.split(":") if folder),
        tuple(_versions(file, segments, dict(tags), names)),
        loader,
        _opened(file, names, dict(tags).get("DT_STRSZ", 0)),
    )


def _segments(file: _File) -> list[Any]:
    from elftools.common.utils import struct_parse

    header = file.header
    if header.e_phnum > _MOST_SEGMENTS:
        raise BrokenBinary(f"it has more than {_MOST_SEGMENTS} segments")
    places = (header.e_phoff + number * header.e_phentsize for number in range(header.e_phnum))
    segments = [struct_parse(file.structs.Elf_Phdr, file.stream, place) for place in places]
    if any(one.p_type == "PT_LOAD" and one.p_offset + one.p_filesz > file.size for one in segments):
        raise BrokenBinary("it is cut off")
    return segments


def _tags(file: _File, segments: list[Any]) -> list[tuple[str, int]]:
    from elftools.common.utils import struct_parse

    dynamic = next((one for one in segments if one.p_type == "PT_DYNAMIC"), None)
    if dynamic is None:
        return []
    size = file.structs.Elf_Dyn.sizeof()
    found: list[tuple[str, int]] = []
    for number in range(min(dynamic.p_filesz // size, _MOST_TAGS)):
        entry = struct_parse(file.structs.Elf_Dyn, file.stream, dynamic.p_offset + number * size)
        if entry.d_tag == "DT_NULL":
            break
        found.append((str(entry.d_tag), entry.d_val))
    return found


def _offset(segments: list[Any], address: int) -> int:
    """Where in the file lies what is loaded at an address. Raises BrokenBinary where nothing is."""
    for one in segments:
        if one.p_type == "PT_LOAD" and one.p_vaddr <= address < one.p_vaddr + one.p_filesz:
            return int(one.p_offset + address - one.p_vaddr)
    raise BrokenBinary(_DAMAGED)


def _text(file: _File, offset: int) -> str:
    file.stream.seek(offset)
    raw = file.stream.read(_LONGEST_NAME)
    if b"\0" not in raw:
        raise BrokenBinary(_DAMAGED)
    return raw.partition(b"\0")[0].decode("utf-8", "replace")


def _versions(file: _File, segments: list[Any], tags: dict[str, int], names: int) -> Iterator[tuple[str, str]]:
    """Each library with a version of its symbols that is needed: ("libc.so.6", "GLIBC_2.34")."""
    from elftools.common.utils import struct_parse

    if "DT_VERNEED" not in tags:
        return
    place, seen = _offset(segments, tags["DT_VERNEED"]), 0
    for _ in range(min(tags.get("DT_VERNEEDNUM", 0), _MOST_VERSIONS)):
        needed = struct_parse(file.structs.Elf_Verneed, file.stream, place)
        library, at = _text(file, names + needed.vn_file), place + needed.vn_aux
        for _ in range(needed.vn_cnt):
            seen += 1
            if seen > _MOST_VERSIONS:
                raise BrokenBinary(f"it needs more than {_MOST_VERSIONS} versions of symbols")
            version = struct_parse(file.structs.Elf_Vernaux, file.stream, at)
            yield library, _text(file, names + version.vna_name)
            at += version.vna_next
        place += needed.vn_next


def _opened(file: _File, names: int, size: int) -> tuple[str, ...]:
    from elftools.elf.elffile import ELFFile

    if size > _NAMES_LIMIT or not 0 < file.header.e_shnum <= _MOST_SECTIONS:
        return ()
    file.stream.seek(names)
    if b"\0dlopen\0" not in file.stream.read(size):
        return ()
    text = ELFFile(file.stream).get_section_by_name(".rodata")
    if text is None:
        return ()
    file.stream.seek(text["sh_offset"])
    raw = b"\0" + file.stream.read(min(text["sh_size"], _TEXT_LIMIT)) + b"\0"
    return tuple(sorted({one.decode("ascii") for one in _OPENED.findall(raw)}))
