"""Programs and libraries (ELF) for tests, built by gcc to need what a test says, and nothing else."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

X86_64, AARCH64 = 62, 183
"""e_machine, in bytes 18 and 19 of the header (elf(5))."""


def library(path: Path, soname: str, text: str = "") -> Path:
    """A shared library of that soname, which needs nothing; its text holds `text`, and it can open others by name."""
    code = f'extern void *dlopen(const char*,int); const char t[]="{text}"; void *f(void){{return dlopen(t,1);}}'
    _gcc(
        code if text else "int nothing;",
        path,
        "-shared",
        f"-Wl,-soname,{soname}",
        "-Wl,--unresolved-symbols=ignore-all",
    )
    return path


def program(path: Path, needed: Sequence[str], runpath: str = "", libc: bool = False) -> Path:
    """A program that needs these libraries; with `libc` also this machine's glibc, and the newest of its symbols."""
    with tempfile.TemporaryDirectory() as folder:
        stubs = [str(library(Path(folder, str(number)), name)) for number, name in enumerate(needed)]
        options = ["-Wl,--no-as-needed", *stubs, *([f"-Wl,--enable-new-dtags,-rpath,{runpath}"] if runpath else [])]
        code = "int main(void){return 0;}" if libc else "void _start(void){for(;;);}"
        _gcc(code, path, *options, *([] if libc else ["-nostdlib", "-nostartfiles"]))
    return path


def for_machine(path: Path, machine: int) -> Path:
    """The same file, made one of another processor."""
    raw = bytearray(path.read_bytes())
    raw[18:20] = machine.to_bytes(2, "little")
    path.write_bytes(raw)
    return path


def _gcc(code: str, path: Path, *options: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nothing = () if "-nostdlib" in options or "-shared" not in options else ("-nostdlib",)
    argv = ("gcc", "-x", "c", "-", "-x", "none", "-fPIC", "-o", str(path), *options, *nothing)
    subprocess.run(argv, input=code.encode(), check=True)
