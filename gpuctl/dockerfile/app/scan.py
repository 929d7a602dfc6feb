"""An application's files looked through: its programs, its libraries, and its scripts."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace
from typing import IO

from gpuctl.dockerfile.app.elf import MAGIC, Binary, BrokenBinary, read_binary
from gpuctl.frozen import dataclass
from gpuctl.host.look.deadline import DeadlineExceeded, within
from gpuctl.host.look.tree import look_at_tree, open_in_tree

SECONDS = 600.0
"""For all of an application: a network file system that hangs holds nobody."""
_FIRST_LINE = 256
"""Bytes that the kernel reads of a script's first line (binfmt_script)."""
_SHEBANG = re.compile(rb"#![ \t]*(/[^ \t\n\r\0]+)(?:[ \t]+([^\n\r\0]*))?")


class UnreadableApplication(Exception):
    """An application could not be looked at. The message is a sentence."""


@dataclass(frozen=True)
class Script:
    """A script that may be executed, and what its first line names: a path, or the name that env looks for."""

    path: str
    interpreter: str


@dataclass(frozen=True)
class Application:
    """What lies in an application's folder. `names`: by the name of a binary, or of a link to one, where it lies.

    `leaving` are links that lead out of the folder, or nowhere; `broken` says of programs why they cannot be read.
    """

    files: frozenset[str]
    binaries: tuple[Binary, ...]
    scripts: tuple[Script, ...]
    names: Mapping[str, tuple[str, ...]]
    leaving: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


def read_application(folder: str) -> Application:
    """Returns what lies in a folder. Raises FileProblem, and UnreadableApplication for a program that is cut off.

    So it does for a folder without a file.
    """
    try:
        tree = within(SECONDS, lambda: look_at_tree(folder))
        found = within(
            SECONDS,
            lambda: application_of(tree.files, tree.programs, tree.links, lambda path: open_in_tree(tree, path)),
        )
    except DeadlineExceeded:
        raise UnreadableApplication(f"{folder} could not be looked through within {SECONDS:g} s.") from None
    if not found.files:
        raise UnreadableApplication(f"{folder} holds no file: it is no application.")
    if found.broken:
        raise UnreadableApplication(posixpath.join(folder, found.broken[0]))
    return replace(found, leaving=tree.leaving)


def application_of(
    files: Iterable[str], programs: Container[str], links: Mapping[str, str], opened: Callable[[str], IO[bytes]]
) -> Application:
    """Returns what these files are. `programs` may be executed, `links` lead to files, `opened` opens one."""
    binaries: list[Binary] = []
    scripts: list[Script] = []
    broken: list[str] = []
    files = frozenset(files)
    for path in sorted(files):
        try:
            with opened(path) as stream:
                found = _what(stream, path, path in programs)
        except OSError as error:
            broken.append(f"{path} cannot be read: {error.strerror or error}.")
            continue
        except BrokenBinary as error:
            broken.append(f"{path} is no whole program: {error}.")
            continue
        if isinstance(found, Binary):
            binaries.append(found)
        elif found:
            scripts.append(found)
    return Application(files, tuple(binaries), tuple(scripts), _names(binaries, links), broken=tuple(broken))


def _what(stream: IO[bytes], path: str, executable: bool) -> Binary | Script | None:
    beginning = stream.read(_FIRST_LINE)
    if beginning.startswith(MAGIC):
        return read_binary(stream, path)
    if not executable or not beginning.startswith(b"#!"):
        return None
    interpreter = interpreter_in(beginning)
    return Script(path, interpreter) if interpreter else None


def interpreter_in(line: bytes) -> str | None:
    """Returns the program that a script's first line names; of env the one that it looks for.

    #!/usr/bin/env -S python3 -u
    """
    found = _SHEBANG.match(line)
    if not found:
        return None
    program, rest = (group.decode("utf-8", "replace") for group in (found[1], found[2] or b""))
    if posixpath.basename(program) != "env":
        return program
    words = [word for word in rest.split() if not word.startswith("-") and "=" not in word]
    return words[0] if words else None


def _names(binaries: Iterable[Binary], links: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    places: dict[str, set[str]] = defaultdict(set)
    paths = {binary.path for binary in binaries}
    for path in (*paths, *(link for link, target in links.items() if target in paths)):
        places[posixpath.basename(path)].add(posixpath.dirname(path))
    return {name: tuple(sorted(folders)) for name, folders in places.items()}
