"""A `docker run` or `podman run` among the commands of a shell text: its options, and where its image is."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gpuctl.compat.knowledge.run_options import RunOption, run_options
from gpuctl.frozen import dataclass
from gpuctl.regex import regex
from gpuctl.shell import HOLE, SimpleCommand, Word

NVIDIA_DOCKER = "nvidia-docker"
PROGRAMS = {"docker": "docker", NVIDIA_DOCKER: "docker", "podman": "podman"}
"""What starts containers, and the engine whose options it takes."""
VERBS = ("run", "create")
_ASSIGNMENT = regex(r"[A-Za-z_]\w*=", re.ASCII)
_WRAPPERS = {
    "sudo": ("-u", "-g", "-h", "-p", "-C", "-r", "-t", "-T", "-U", "-R", "-D", "--user", "--group"),
    "env": ("-u", "-C", "-S", "--unset", "--chdir"),
    "nice": ("-n", "--adjustment"),
    "ionice": ("-c", "-n"),
    "timeout": ("-k", "-s", "--kill-after", "--signal"),
    "exec": ("-a",),
    "nohup": (),
    "command": (),
    "time": (),
    "setsid": (),
}
"""Programs that start the program that is named behind them, and their options that take a value."""
_ALIASES = {"--net": "--network", "--dns-opt": "--dns-option", "--net-alias": "--network-alias"}
_NAME = r"\$[{(]?[\w@*]+"
_NAMES_IMAGE = r"(?i)image|img|tag|repo|registry|container|docker"
_NAMES_OPTIONS = r"(?i)opt|arg|flag|param|mount|vol|dev|env|@|\*"
"""What variables are called that hold an image, and such as hold options."""
_FALSE = ("0", "f", "false", "F", "False", "FALSE")
"""As Go's strconv.ParseBool reads it."""


@dataclass(frozen=True)
class Option:
    """An option as it is given: its long name, its value ("" where it takes none), and which words it stands in.

    `at` is where the value begins in the value of the last of these words; `letter` is where the option begins in the
    first: behind other letters of `-itv /a:/b`.
    """

    name: str
    value: str
    first: int
    last: int
    at: int
    letter: int = 0

    @property
    def is_false(self) -> bool:
        return self.value in _FALSE


@dataclass(frozen=True)
class RunCommand:
    """A command that makes a container. `program`, `verb` and `image` are numbers of words.

    `options` are those in front of the image, which is None where gpuctl cannot tell where they end; `doubt` says why.
    `is_cut_off`: there is no image, or no value behind the last option, so that the engine itself refuses it.
    """

    command: SimpleCommand
    program: int
    verb: int
    options: tuple[Option, ...]
    image: int | None
    doubt: str = ""
    is_cut_off: bool = False

    @property
    def words(self) -> tuple[Word, ...]:
        return self.command.words

    @property
    def name(self) -> str:
        """The program's name, without its folder."""
        return posixpath.basename(self.words[self.program].value)

    @property
    def engine(self) -> str:
        return PROGRAMS[self.name]

    def given(self, name: str) -> tuple[Option, ...]:
        """Returns each time that an option is given, by its long name."""
        return tuple(option for option in self.options if option.name == name)

    def variables(self, name: str) -> tuple[Option, ...]:
        """Returns each `--env NAME=value` of that variable, and `--env NAME`, which takes it from outside."""
        return tuple(one for one in self.given("--env") if one.value.partition("=")[0] == name)


@dataclass(frozen=True)
class OtherCall:
    """A command of nvidia-docker that makes no container; `may_run`: but may, by what only the shell knows."""

    words: tuple[Word, ...]
    program: int
    may_run: bool


def other_call(command: SimpleCommand) -> OtherCall | None:
    """Returns a command of nvidia-docker that makes no container, None for any other."""
    program = _program(command.words)
    if program is None or posixpath.basename(command.words[program].value) != NVIDIA_DOCKER or run_command(command):
        return None
    verbs = [word for word in command.words[program + 1 :] if not word.value.startswith("-")]
    return OtherCall(command.words, program, bool(verbs) and verbs[0].expands)


def run_command(command: SimpleCommand) -> RunCommand | None:
    """Returns the command taken apart, None for one that makes no container, as docker run --help."""
    words = command.words
    program = _program(words)
    if program is None:
        return None
    engine = PROGRAMS[posixpath.basename(words[program].value)]
    _, at, doubt = _options(words, program + 1, engine, "engine")
    if not doubt and at is not None and _value(words, at) == "container":
        at += 1
    if doubt or at is None or _value(words, at) not in VERBS:
        return None
    if any(word.value == "--help" for word in words[at + 1 : at + 2]):
        return None
    options, image, doubt = _options(words, at + 1, engine, "run")
    if image is not None and not _value(words, image):
        return RunCommand(command, program, at, options, None, doubt or _NO_IMAGE, is_cut_off=True)
    return RunCommand(command, program, at, options, image, doubt)


def _value(words: Sequence[Word], at: int) -> str:
    """A word's value, "" where the words end before."""
    return words[at].value if at < len(words) else ""


def _program(words: Sequence[Word]) -> int | None:
    """The number of the word that names the program, behind assignments and programs such as sudo."""
    at, wrapper = 0, ""
    while at < len(words):
        value = words[at].value
        name = posixpath.basename(value)
        if name in PROGRAMS:
            return at
        if name in _WRAPPERS:
            wrapper = name
        elif wrapper and value.startswith("-"):
            at += value in _WRAPPERS[wrapper]
        elif not _ASSIGNMENT.match(value) and not (wrapper == "timeout" and value[:1].isdigit()):
            return None
        at += 1
    return None


_NO_IMAGE = "there is no image behind its options"
Options = tuple[tuple[Option, ...], int | None, str]


def _options(words: Sequence[Word], start: int, engine: str, place: str) -> Options:
    """The options from a word on, the number of the word behind them, and why nobody can tell where they end.

    The number is one more than there are words where these end before.
    """
    known, found, at = run_options(engine, place), list[Option](), start
    while at < len(words):
        value = words[at].value
        if value == "--":
            return tuple(found), at + 1, ""
        if not value.startswith("-") or value == "-":
            doubt = _doubt_of_image(words[at])
            return tuple(found), None if doubt else at, doubt
        read = _long(value, at, known) if value.startswith("--") else _short(value, at, known)
        if not read:
            return tuple(found), None, f"gpuctl does not know the option {words[at].text.partition('=')[0]}"
        at = read[-1].last + 1
        if at > len(words):
            return tuple(found), len(words), f"there is no value behind the option {words[-1].text}"
        found += [*read[:-1], replace(read[-1], value=words[at - 1].value) if read[-1].at == 0 else read[-1]]
    return tuple(found), len(words), _NO_IMAGE


def _doubt_of_image(word: Word) -> str:
    """Why a word in the image's place may be further options, "" where it is none."""
    if not word.splits or word.value.strip(HOLE):  # $REGISTRY/app names an image, whatever is in it
        return ""
    name = re.search(_NAME, word.text)
    if name and re.search(_NAMES_IMAGE, name[0]) and not re.search(_NAMES_OPTIONS, name[0]):
        return ""
    return f"only the shell knows whether {word.text} is the image or holds further options"


def _long(value: str, at: int, known: Mapping[str, RunOption]) -> list[Option]:
    name, equals, given = value.partition("=")
    row = known.get(name)
    if row is None:
        return []
    if equals or not row.takes_value:
        return [Option(_one_name(row), given, at, at, len(name) + len(equals))]
    return [Option(_one_name(row), "", at, at + 1, 0)]


def _short(value: str, at: int, known: Mapping[str, RunOption]) -> list[Option]:
    """The options of a word such as -itd, -v=/a:/b or -itv; in the last one the value is the next word."""
    found = list[Option]()
    for letter in range(1, len(value)):
        row = known.get(f"-{value[letter]}")
        if row is None:
            return []
        rest = letter + 1 + (value[letter + 1 : letter + 2] == "=")
        if row.takes_value:
            last, at_value = (at, rest) if rest < len(value) else (at + 1, 0)
            return [*found, Option(_one_name(row), value[rest:], at, last, at_value, letter)]
        if rest > letter + 1:
            return [*found, Option(_one_name(row), value[rest:], at, at, rest, letter)]
        found.append(Option(_one_name(row), "", at, at, len(value), letter))
    return found


def _one_name(row: RunOption) -> str:
    return _ALIASES.get(row.option, row.option)
