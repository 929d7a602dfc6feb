"""The text of a Dockerfile as BuildKit's parser splits it: instructions with their flags, heredocs and places.

By https://github.com/moby/buildkit/blob/master/frontend/dockerfile/parser/parser.go; tests compare with that parser.
No grammar does it: tree-sitter-containerfile 0.9.2 misreads one in fifty real files (continued lines that begin with [,
names with -, a lone backtick), and BuildKit's rules are few.
The text is one character a byte (Latin-1), so that every offset is a byte's and any file comes back as it was.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from gpuctl.bounds import amount
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

LIMIT = 256 << 10
"""Bytes of a Dockerfile. People write kilobytes, of which each costs time."""
LINE_LIMIT = (64 << 10) - 1
"""Bytes of a line, of which BuildKit takes no more."""
INSTRUCTIONS = frozenset(
    (
        *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"),
        *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
    )
)
_BOM = "\xef\xbb\xbf"
_DIRECTIVE = regex(r"#[ \t]*([A-Za-z][A-Za-z0-9]*)[ \t]*=[ \t]*(.+?)[ \t\r]*$")
_DIRECTIVES = ("syntax", "escape", "check")
_OWN_FRONTEND = regex(r"(?:docker\.io/)?docker/dockerfile(?:-upstream|\.io)?(?:[:@].*)?")
_ESCAPES = ("\\", "`")
BLANK = " \t\n\r\f\v"
"""What parts words. In Latin-1 Python knows two more, which are bytes within letters of UTF-8."""
_NAME = regex(r"(\S+)\s*", re.ASCII)
_FLAG = regex(
    r"--[a-zA-Z][a-zA-Z0-9-]*(?:=(?:\"(?:\\.|[^\"\\])*(?:\"|$)|'[^']*(?:'|$)|\\.|[^\s\"'\\])*)?(?:\s+|$)",
    re.ASCII,
)
_WORD = regex(r"(?:\"(?:\\.|[^\"\\])*(?:\"|\\?$)|'[^']*(?:'|$)|\\(?:.|$)|[^\s\"'\\])+", re.DOTALL | re.ASCII)
_HEREDOC = regex(r"[0-9]*<<(-?)([^<]+)")
_WITH_HEREDOC = ("ADD", "COPY", "RUN")


class BadDockerfile(ValueError):
    """No Dockerfile that `docker build` takes. The message is a sentence that begins with the line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")


@dataclass(frozen=True)
class Joined:
    """Text of one or more lines, with where each piece of it lies: `pieces` are (offset in it, offset in the file)."""

    text: str
    pieces: tuple[tuple[int, int], ...]

    def at(self, offset: int) -> int:
        """Returns where in the file a character lies, or its end after the last one."""
        own, place = self.pieces[bisect_right(self.pieces, (offset, 1 << 62)) - 1]
        return place + offset - own

    def part(self, start: int, end: int) -> Joined:
        """Returns a piece of it."""
        inside = [(own - start, place) for own, place in self.pieces if start < own < end]
        return Joined(self.text[start:end], ((0, self.at(start)), *inside))


@dataclass(frozen=True)
class Heredoc:
    """A document within an instruction: the word that ends it, and its lines."""

    name: str
    body: Joined


@dataclass(frozen=True)
class Instruction:
    """An instruction: its name in capitals, its flags as written (--from=0), and what follows them.

    `start` and `end` are offsets in the file, heredocs included; `line` counts from 1. `onbuild`: it is run by builds
    on the image.
    """

    name: str
    start: int
    end: int
    line: int
    flags: tuple[str, ...]
    body: Joined
    heredocs: tuple[Heredoc, ...] = ()
    onbuild: bool = False

    @property
    def words(self) -> tuple[tuple[int, int], ...]:
        """Where the words of the body start and end in it."""
        return tuple(word.span() for word in _WORD.finditer(self.body.text))


@dataclass(frozen=True)
class DockerfileText:
    """A Dockerfile's text, its instructions, its directives, and where each line starts.

    `syntax` is the image of the frontend that is to build it, "" where none is named.
    """

    text: str
    escape: str
    syntax: str
    instructions: tuple[Instruction, ...]
    comments: tuple[tuple[int, str], ...]
    """Comments outside of instructions' lines, and within them: line and text."""
    starts: tuple[int, ...]

    def place(self, offset: int) -> tuple[int, int]:
        """Returns line and column of an offset, both from 1; the column counts characters of UTF-8."""
        line = bisect_right(self.starts, offset)
        return line, len(shown(self.text[self.starts[line - 1] : offset])) + 1


def shown(text: str) -> str:
    """Returns a piece of the text as people read it."""
    return text.encode("latin-1").decode("utf-8", "replace")


def read_source(raw: bytes) -> DockerfileText:
    """Returns the instructions of a Dockerfile. Raises BadDockerfile."""
    if len(raw) > LIMIT:
        raise BadDockerfile(1, f"the file is larger than {amount(LIMIT)}, which no Dockerfile is.")
    text = raw.decode("latin-1")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise BadDockerfile(line, "there is a NUL byte: this is no text, or text in UTF-16.")
    long = next((number for number, line in enumerate(text.split("\n"), 1) if len(line) > LINE_LIMIT), None)
    if long:
        raise BadDockerfile(long, f"it is longer than {LINE_LIMIT} bytes, which BuildKit refuses.")
    return _Reader(text).source()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.split("\n")
        starts = [0]
        for line in self.lines[:-1]:
            starts.append(starts[-1] + len(line) + 1)
        self.starts = tuple(starts)
        self.directives = dict(_directives(self.lines))
        self.escape = self.directives.get("escape", "\\")
        if self.escape not in _ESCAPES:
            raise BadDockerfile(1, f"the escape directive takes \\ or `, not {shown(self.escape)[:20]!r}.")
        self.comments: list[tuple[int, str]] = []

    def source(self) -> DockerfileText:
        instructions = tuple(self.instructions())
        _check_order(instructions)
        syntax = self.directives.get("syntax", "")
        return DockerfileText(self.text, self.escape, syntax, instructions, tuple(self.comments), self.starts)

    def instructions(self) -> Iterator[Instruction]:
        number = 0
        while number < len(self.lines):
            if _is_comment(self.lines[number]):
                self.comments.append((number + 1, self.lines[number]))
            elif self.content(number).strip(BLANK):
                instruction, number = self.instruction(number)
                yield instruction
                continue
            number += 1

    def content(self, number: int) -> str:
        """A line without what ends it, and the first one without a byte order mark."""
        line = self.lines[number].rstrip("\r")
        return line.removeprefix(_BOM) if number == 0 else line

    def instruction(self, first: int) -> tuple[Instruction, int]:
        """Returns the instruction that begins in a line, and the number of the line after it."""
        joined, number = self.logical_line(first)
        name, flags, body = self.parted(joined, first)
        onbuild = name == "ONBUILD"
        if onbuild:
            name, flags, body = self.parted(body, first)
        heredocs, number = self.heredocs(name, body, first, number)
        start, last = joined.at(0), number - 1
        end = self.starts[last] + len(self.lines[last].rstrip("\r"))
        return Instruction(name, start, end, first + 1, flags, body, heredocs, onbuild), number

    def logical_line(self, first: int) -> tuple[Joined, int]:
        """Returns the line with those that continue it, and the number of the line after these."""
        text, pieces, number, length = [], [], first, 0
        while number < len(self.lines):
            line, number = self.content(number), number + 1
            if number - 1 > first:
                if _is_comment(line):
                    self.comments.append((number, line))
                    continue
                if not line.strip(BLANK):
                    continue
            start = self.starts[number - 1] + (len(_BOM) if number == 1 and self.lines[0].startswith(_BOM) else 0)
            skipped = len(line) - len(line.lstrip(BLANK)) if number - 1 == first else 0
            piece = line[skipped : self.continues_at(line)]
            if piece:
                pieces.append((length, start + skipped))
            text.append(piece)
            length += len(piece)
            if skipped + len(piece) == len(line):
                break
        return Joined("".join(text), tuple(pieces) or ((0, self.starts[first]),)), number

    def continues_at(self, line: str) -> int:
        """Returns where the escape stands that ends a line and has it go on: a single one; else the line's length."""
        bare = line.rstrip(" \t")
        single = bare.endswith(self.escape) and not bare[:-1].endswith(self.escape)
        return len(bare) - 1 if single else len(line)

    def parted(self, joined: Joined, first: int) -> tuple[str, tuple[str, ...], Joined]:
        """Returns the instruction's name, its flags and the rest."""
        found = _NAME.match(joined.text)
        name = found[1].upper() if found else ""
        if name not in INSTRUCTIONS and _OWN_FRONTEND.fullmatch(self.directives.get("syntax", "docker/dockerfile")):
            raise BadDockerfile(first + 1, f"{shown(found[1] if found else '')[:40]!r} is no instruction.")
        position, flags = found.end() if found else 0, []
        while joined.text.startswith("--", position) and (flag := _FLAG.match(joined.text, position)):
            flags.append(flag[0].strip(BLANK))
            position = flag.end()
        return name, tuple(flags), joined.part(position, len(joined.text))

    def heredocs(self, name: str, body: Joined, first: int, number: int) -> tuple[tuple[Heredoc, ...], int]:
        if "<<" not in body.text or name not in _WITH_HEREDOC or body.text.startswith("["):
            return (), number
        documents = []
        for word in _WORD.finditer(body.text):
            opened = _HEREDOC.fullmatch(word[0])
            if opened:
                document, number = self.document(opened[2].strip("\"'"), bool(opened[1]), first, number)
                documents.append(document)
        return tuple(documents), number

    def document(self, name: str, tabs: bool, first: int, number: int) -> tuple[Heredoc, int]:
        for last in range(number, len(self.lines)):
            line = self.lines[last].rstrip("\r")
            if (line.lstrip("\t") if tabs else line) == name:
                start, end = self.starts[number], self.starts[last]
                return Heredoc(name, Joined(self.text[start:end], ((0, start),))), last + 1
        raise BadDockerfile(first + 1, f"the heredoc {shown(name)[:40]!r} is never closed.")


def _is_comment(line: str) -> bool:
    return line.lstrip(BLANK).startswith("#")


def _directives(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields the parser directives: comments of that form before anything else, each once."""
    seen = set()
    for line in lines:
        comment = line.removeprefix(_BOM).strip()
        found = _DIRECTIVE.fullmatch(comment) if comment.startswith("#") else None
        name = found[1].lower() if found else ""
        if not found or name not in _DIRECTIVES or name in seen:
            return
        seen.add(name)
        yield name, found[2]


_TAKE = {
    **dict.fromkeys(("ADD", "COPY"), 2),
    **dict.fromkeys(("ARG", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD"), 1),
    **dict.fromkeys(("SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"), 1),
}
"""How many words there have to be behind an instruction (BuildKit, frontend/dockerfile/instructions/parse.go)."""


def _check_order(instructions: Sequence[Instruction]) -> None:
    first = next((one for one in instructions if one.name != "ARG"), None)
    if first is None or not any(one.name == "FROM" for one in instructions):
        raise BadDockerfile(first.line if first else 1, "there is no FROM: this is no Dockerfile.")
    if first.name != "FROM" and first.name in INSTRUCTIONS:
        raise BadDockerfile(first.line, f"{first.name} comes before the first FROM.")
    bare = next((one for one in instructions if one.name == "FROM" and len(one.words) not in (1, 3)), None)
    if bare:
        raise BadDockerfile(bare.line, "FROM takes an image, and a name behind AS: no build starts from this.")
    for one in instructions:
        least = _TAKE.get(one.name, 0)
        if len(one.words) < least and not one.body.text.lstrip().startswith("["):  # as JSON
            takes = "a source and a destination" if least > 1 else "a value"
            raise BadDockerfile(one.line, f"{one.name} takes {takes}: no build gets past this.")
