"""Builds what `gpuctl smoke --deep` runs, from smoke.c, for every architecture.

gpuctl is a pure Python package, and a host with GPUs need not have a compiler: so the programs come with it, built.
They are linked with libraries of empty functions in the place of glibc's: that binds names without versions, and the
result does not depend on the glibc of the machine that builds it. Debian's gcc and gcc-aarch64-linux-gnu will do.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parents[1] / "gpuctl" / "smoke" / "program"
SOURCES = (HERE / "smoke.c", HERE / "smoke.ptx")
COMPILERS = {
    "x86_64": ("x86_64-linux-gnu-gcc", "-fcf-protection=none", "-Wl,-z,max-page-size=4096"),
    "aarch64": ("aarch64-linux-gnu-gcc", "-Wl,-z,max-page-size=65536"),
}
"""By architecture, with what it alone needs; the pages are the largest that its kernels use, in bytes."""
# libdl.so.2 before libc.so.6: up to glibc 2.33 the dl functions are there. libpthread.so.0 for the driver's threads:
# up to 2.33 it is better there from the beginning.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "libpthread.so.0": (),
    "libdl.so.2": ("dlerror", "dlinfo", "dlopen", "dlsym"),
    "libc.so.6": (
        *("_exit", "alarm", "atoi", "memcmp", "memcpy", "memset", "setenv"),
        *("signal", "snprintf", "strlen", "unsetenv", "write"),
    ),
}
OPTIONS = [
    *("-std=gnu11", "-Os", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fpie", "-fno-stack-protector"),
    *("-fno-asynchronous-unwind-tables", "-pie", "-nostdlib", "-s"),
    "-Wl,--no-as-needed,--build-id=none,-z,noseparate-code,-z,norelro,-z,now,-z,noexecstack,--hash-style=gnu",
]


def digest() -> str:
    """Returns what the sources' bytes are: SHA-256 in hexadecimal digits. A built program holds it."""
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in SOURCES)).hexdigest()


def build(architecture: str, output: Path) -> None:
    """Builds the program for an architecture. Raises subprocess.CalledProcessError."""
    compiler, *own = COMPILERS[architecture]
    with tempfile.TemporaryDirectory() as folder:
        stubs = [_stub(compiler, Path(folder, name), functions) for name, functions in LIBRARIES.items()]
        define = f'-DSOURCE="{digest()}"'
        # From within the folder: where it is built must not show in it.
        command: list[str | Path] = [compiler, *own, *OPTIONS, define, "-Wa,-I.", "-o", output, SOURCES[0].name, *stubs]
        subprocess.run(command, check=True, cwd=HERE)
    output.chmod(0o644)


def _stub(compiler: str, library: Path, functions: tuple[str, ...]) -> Path:
    source = library.with_suffix(".c")
    source.write_text("".join(f"void {name}(void) {{}}\n" for name in functions))
    options = ["-shared", "-nostdlib", "-fno-builtin", "-w", f"-Wl,-soname,{library.name}"]
    subprocess.run([compiler, *options, "-o", library, source], check=True)
    return library


def main() -> None:
    """Builds all; ends with status 1, and nothing built, where a compiler is missing."""
    missing = [compiler for compiler, *_ in COMPILERS.values() if shutil.which(compiler) is None]
    if missing:
        sys.exit(f"nothing is built: there is no {' and no '.join(missing)}")
    for architecture in COMPILERS:
        build(architecture, HERE / f"smoke-{architecture}")


if __name__ == "__main__":
    main()
