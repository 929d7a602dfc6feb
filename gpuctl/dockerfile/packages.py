"""What a command installs, by the options of package managers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from gpuctl.dockerfile.shell import PlacedWord, ShellCommand
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

_MANAGERS: Mapping[str, str] = {
    "apt": "apt",
    "apt-get": "apt",
    "aptitude": "apt",
    "yum": "rpm",
    "dnf": "rpm",
    "microdnf": "rpm",
    "tdnf": "rpm",
    "zypper": "rpm",
    "pacman": "pacman",
    **dict.fromkeys(("paru", "pikaur", "yay"), "pacman"),
    "apk": "apk",
    "conda": "conda",
    "mamba": "conda",
    "micromamba": "conda",
}
_INSTALLS = ("install", "in", "localinstall", "groupinstall", "reinstall", "upgrade", "update", "create", "add")
_WITH_VALUE: Mapping[str, frozenset[str]] = {
    "apt": frozenset(("-t", "-o", "-c", "--target-release", "--option", "--config-file", "-a")),
    "rpm": frozenset(("-c", "--config", "--releasever", "--setopt", "--enablerepo", "--disablerepo", "--installroot")),
    "pacman": frozenset(
        (
            *("-b", "-r", "--arch", "--assume-installed", "--cachedir", "--color", "--config", "--dbpath", "--gpgdir"),
            *("--hookdir", "--ignore", "--ignoregroup", "--logfile", "--overwrite", "--root", "--sysroot"),
        )
    ),
    "apk": frozenset(
        (
            *("-p", "-t", "-X", "--arch", "--cache-dir", "--cache-max-age", "--keys-dir", "--progress-fd"),
            *("--repositories-file", "--repository", "--root", "--timeout", "--virtual", "--wait"),
        )
    ),
    "conda": frozenset(("-c", "--channel", "-n", "--name", "-p", "--prefix", "--file", "-f", "--solver", "--revision")),
    "pip": frozenset(
        (
            *("-r", "-c", "-i", "-f", "-t", "-e", "--requirement", "--constraint", "--index-url", "--extra-index-url"),
            *(
                "--find-links",
                "--target",
                "--editable",
                "--prefix",
                "--root",
                "--platform",
                "--python-version",
                "--abi",
            ),
            *(
                "--implementation",
                "--no-binary",
                "--only-binary",
                "--cache-dir",
                "--trusted-host",
                "--timeout",
                "--retries",
            ),
            *("--proxy", "--cert", "--progress-bar", "--src", "--config-settings", "--python", "--index"),
            *("--default-index", "--torch-backend", "--index-strategy", "-w", "--wheel-dir"),
        )
    ),
}
"""Options whose value is the next word, by the managers' manuals."""
_PIP = regex(r"pip(?:\d(?:\.\d+)?)?")
_PYTHON = regex(r"(?:python|pypy)(?:\d(?:\.\d+)?)?")
_FILE = regex(r"(?:.*/)?([^/]+?)(?:_[^/]*\.deb|-[0-9][^/]*\.rpm|(?:-[^-/]+){3}\.pkg\.tar(?:\.\w+)?)")
_LETTERS = regex(r"-[A-Za-z]+")
_NO_INSTALL = frozenset("silgcpwDFQRT")
"""Letters of pacman by which -S shows, cleans or downloads only, or by which it does something else: pacman(8)."""
_VERSION = regex(r"(\[[^]]*\])?\s*(?:===?|~=|>=|<=|!=|=|>|<|@)\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class NamedPackage:
    """A package that a command installs: its name as written, the version that is asked for, and where that stands.

    `name` keeps extras (jax[cuda12]); it is an address where one was given. `indexes` are the pip indexes of the
    command.
    """

    manager: str
    name: str
    version: str
    word: PlacedWord
    indexes: tuple[PlacedWord, ...] = ()


@dataclass(frozen=True)
class PipCall:
    """What a call of pip installs: requirements, files of them or folders, and where they are taken from."""

    requirements: tuple[PlacedWord, ...]
    elsewhere: tuple[PlacedWord, ...]
    indexes: tuple[PlacedWord, ...]


def manager(command: ShellCommand) -> tuple[str, str]:
    """Returns the kind of package manager that a command calls and its verb, ("apt", "install"); "" for none."""
    kind = _MANAGERS.get(command.program, "")
    rest = command.words[1:]
    if pip_words(command) is not None:
        return "pip", "install"
    if not kind:
        return "", ""
    if kind == "pacman":
        return kind, "install" if _pacman_installs(command.values[1:]) else ""
    position = 0
    while position < len(rest) and rest[position].value.startswith("-"):
        position += 2 if rest[position].value in _WITH_VALUE[kind] else 1
    return kind, rest[position].value if position < len(rest) else ""


def _pacman_installs(values: Sequence[str]) -> bool:
    """Whether pacman's options, which may stand anywhere, ask it to install: -S, -Syu, -U, --sync."""
    letters = {letter for value in values if _LETTERS.fullmatch(value) for letter in value[1:]}
    names = {"--sync", "--upgrade"} & {*values}
    return bool(letters & {"S", "U"} or names) and not letters & _NO_INSTALL


def pip_words(command: ShellCommand) -> tuple[PlacedWord, ...] | None:
    """Returns the words behind `pip install`, however pip is called; None for any other command."""
    words = command.words
    if command.program == "uv":
        words = words[1:]
    elif command.program in ("conda", "micromamba", "mamba") and len(words) > 1 and words[1].value == "run":
        words = next((words[at:] for at in range(len(words)) if _PIP.fullmatch(words[at].value)), ())
    if len(words) > 2 and _PYTHON.fullmatch(words[0].value.rpartition("/")[2]):
        at = next((at for at in range(1, len(words) - 1) if words[at].value == "-m"), 0)
        words = words[at + 1 :] if at else ()
    if not words or not _PIP.fullmatch(words[0].value.rpartition("/")[2]):
        return None
    verb = next((at for at in range(1, len(words)) if words[at].value in ("install", "wheel", "sync")), 0)
    return words[verb + 1 :] if verb else None


def pip_call(command: ShellCommand) -> PipCall | None:
    """Returns what a call of pip installs; None for any other command."""
    words = pip_words(command)
    if words is None:
        return None
    requirements: list[PlacedWord] = []
    elsewhere: list[PlacedWord] = []
    indexes: list[PlacedWord] = []
    position = 0
    while position < len(words):
        word = words[position]
        option, equals, _ = word.value.partition("=")
        if option in ("-i", "-f", "--index-url", "--extra-index-url", "--find-links", "--index", "--default-index"):
            indexes += [word] if equals else words[position + 1 : position + 2]
        elif option in ("-r", "-e", "--requirement", "--editable"):
            elsewhere += [word] if equals else words[position + 1 : position + 2]
        elif word.value.startswith("-r"):
            elsewhere.append(word)
        elif not word.value.startswith("-"):
            (elsewhere if word.value.startswith((".", "/", "git+", "$")) else requirements).append(word)
        position += 2 if word.value in _WITH_VALUE["pip"] else 1
    return PipCall(tuple(requirements), tuple(elsewhere), tuple(indexes))


def installs(command: ShellCommand) -> Iterator[NamedPackage]:
    """Yields each package that a command installs by its name or address."""
    call = pip_call(command)
    if call:
        for word in call.requirements:
            yield _install("pip", word, call.indexes)
        return
    if command.program in ("dpkg", "rpm"):
        for word in command.words[1:]:
            if word.value.endswith((".deb", ".rpm")):
                yield _install("apt" if command.program == "dpkg" else "rpm", word, ())
        return
    kind, verb = manager(command)
    rest = command.words[1:]
    if kind == "rpm" and verb == "module":  # dnf module install nvidia-driver:535
        rest = _behind(rest, verb)
        verb = rest[0].value if rest else ""
    if kind and verb in _INSTALLS:
        for word in _plain(_behind(rest, verb), _WITH_VALUE[kind]):
            yield _install(kind, word, ())


def _behind(words: tuple[PlacedWord, ...], verb: str) -> tuple[PlacedWord, ...]:
    behind = next((at + 1 for at, word in enumerate(words) if word.value == verb), 0)  # pacman's is no word
    return words[behind:]


def _plain(words: tuple[PlacedWord, ...], with_value: frozenset[str]) -> Iterator[PlacedWord]:
    """The words that are neither options nor their values."""
    at = 0
    while at < len(words):
        if words[at].value in with_value:
            at += 1
        elif not words[at].value.startswith("-"):
            yield words[at]
        at += 1


def _install(kind: str, word: PlacedWord, indexes: tuple[PlacedWord, ...]) -> NamedPackage:
    text = word.value.strip()
    file = _FILE.fullmatch(text) if text.endswith((".deb", ".rpm")) or ".pkg.tar" in text else None
    if file:
        return NamedPackage(kind, file[1], "", word, indexes)
    if kind == "rpm" and "://" not in text:
        text = text.removeprefix("@").partition(":")[0]  # a module with its stream
    name = text if "://" in text else re.split(r"[=<>!~@ ;]", text, maxsplit=1)[0]
    rest = "" if "://" in text else text[len(name) :]
    found = _VERSION.match(rest) if rest else None
    if kind == "conda":
        name = name.rpartition("::")[2]
    if kind == "pacman" and "://" not in text:
        name = name.rpartition("/")[2]  # extra/nvidia-utils
    return NamedPackage(kind, name, found[2].strip() if found else "", word, indexes)
