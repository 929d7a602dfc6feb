"""What is shown to be pasted: whatever values hold, sh and bash read the words that were meant, and nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_checks import ILL

from gpuctl.checks.engine import ask
from gpuctl.checks.every import CHECKS
from gpuctl.command import Command, Shell, command, operands, quoted
from gpuctl.compat.knowledge.errors.cuda import cuda_errors
from gpuctl.compat.knowledge.errors.failures import families
from gpuctl.compat.knowledge.install_commands import PackageHost, install_commands, install_rows
from gpuctl.compat.tables.command_rows import filled, names_in, parse_command
from gpuctl.facts.gather import Facts, gather

SHELLS = ["sh", "bash"]
HOSTILE = [
    "; touch X",
    "$(touch X)",
    "`touch X`",
    "\ntouch X\n",
    "a\n; touch X",
    "' ; touch X '",
    '" ; touch X "',
    "'\n\"$(touch X)",
    "| touch X",
    "&& touch X",
    "> X",
    "*",
    "~",
    "-rf",
    "--output=X",
    "{a,b}",
    "!!",
    "#",
    "",
    "\x1b]0;title\x07",
    "\u202eexe.tac",
    "%s\\n%d",
    "\\",
    "ключ 鍵 …",
    "\udcff",
    "a\0b",
    "&&",
    "|",
    "sudo",
    "$folder",
]
BUILT_IN = {"echo", "unset", "printf"}
BETWEEN = {Shell.PIPE, Shell.AND, Shell.THEN}
RECORD = """#!/bin/sh
printf '%s\\0' "$#" "${0##*/}" "$@" >> "$RECORD"
exit "${EXIT:-0}"
"""


class Bench:
    """A PATH of harmless stand-ins that record their arguments, and a folder in which nothing may appear."""

    def __init__(self, place: Path) -> None:
        self.programs, self.folder, self.record = place / "bin", place / "empty", place / "record"
        for made in (self.programs, self.folder, place / "made"):
            made.mkdir()
        self._write("sudo", '#!/bin/sh\nexec "$@"\n')
        self._write("mktemp", f"#!/bin/sh\necho {place / 'made'}\n")
        self._write("touch", RECORD)

    def run(self, line: str, shell: str, exit: int = 0) -> tuple[int, list[list[bytes]]]:
        """Returns the exit status of a line, and the programs that ran, each with its arguments."""
        self.record.write_bytes(b"")
        found = {"PATH": str(self.programs), "USER": "me", "RECORD": str(self.record), "EXIT": str(exit)}
        program = next(path for folder in ("/bin", "/usr/bin") if (path := Path(folder, shell)).exists())
        done = subprocess.run([str(program), "-c", line], env=found, cwd=self.folder, capture_output=True, timeout=300)
        assert list(self.folder.iterdir()) == []
        return done.returncode, list(_recorded(self.record.read_bytes()))

    def meant(self, one: Command) -> list[list[bytes]]:
        """Returns the programs that a command names, each with its arguments, and has stand-ins for them."""
        lines: list[list[bytes]] = [[]]
        for word in one.words:
            if word in BETWEEN:
                lines.append([])
            elif word not in (Shell.SUDO, Shell.NEW_FOLDER):
                lines[-1].append(b"".join(map(self._value, word if isinstance(word, tuple) else (word,))))
        told = [line for line in lines if line and line[0].decode() not in BUILT_IN]
        for line in told:
            self._write(line[0].decode(), RECORD)
        return told

    def _value(self, part: str | Shell) -> bytes:
        known = {Shell.EDITOR: "vi", Shell.USER: "me", Shell.FOLDER: f"{self.folder.parent / 'made'}"}
        return arriving(part) if isinstance(part, str) else known[part].encode()

    def _write(self, name: str, text: str) -> None:
        if not (self.programs / name).exists():
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)


def arriving(word: str) -> bytes:
    """A word as a program gets it: no shell hands on a NUL, nor a newline at the end of what printf prints."""
    there = word.replace("\0", "?")
    return (there if there.isprintable() or not there.endswith("\n") else f"{there[:-1]}?").encode("utf-8", "replace")


def _recorded(raw: bytes) -> Iterator[list[bytes]]:
    parts = raw.split(b"\0")
    while len(parts) > 1:
        end = int(parts[0]) + 2
        yield parts[1:end]
        parts = parts[end:]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def check_runs(bench: Bench, one: Command, shell: str) -> None:
    meant = bench.meant(one)
    assert "\n" not in str(one)
    assert str(one).isprintable()
    code, ran = bench.run(str(one), shell)
    assert (code, sorted(ran)) == (0, sorted(meant)), str(one)


@pytest.mark.parametrize("shell", SHELLS)
def test_hostile_words_arrive_as_they_are_and_never_run(bench: Bench, shell: str) -> None:
    check_runs(bench, command("record", *HOSTILE), shell)
    for word in HOSTILE:
        check_runs(bench, command("first", word, Shell.PIPE, "second", Shell.FOLDER.name, word), shell)


@given(st.lists(st.text(), max_size=6))
def test_words_of_any_text_arrive_as_they_are(bench: Bench, words: list[str]) -> None:
    check_runs(bench, command("record", *words), "sh")


@given(st.text())
def test_a_shown_word_is_one_line_that_steers_no_terminal(word: str) -> None:
    assert quoted(word).isprintable()


def test_a_value_is_never_taken_for_an_option() -> None:
    assert str(command("rm", *operands("-rf", "b"))) == "rm -- -rf b"
    assert str(command("rm", *operands("/a", "b"))) == "rm /a b"


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("value", ["plain", *(one for one in HOSTILE if one)])
def test_a_value_in_any_row_stays_a_part_of_its_word(bench: Bench, shell: str, value: str) -> None:
    rows = {one for row in install_rows() for one in row.commands if names_in(one)}
    for one in sorted(rows, key=str):
        check_runs(bench, filled(one, dict.fromkeys(names_in(one), value)), shell)


def test_a_value_that_names_another_place_is_not_filled_in_turn() -> None:
    row = parse_command(["install", "{kernel}", "{branch}"])
    assert str(filled(row, {"kernel": "{branch}", "branch": "|"})) == "install '{branch}' '|'"


def test_a_row_that_is_a_line_of_shell_is_no_command() -> None:
    with pytest.raises(ValueError, match="no list of words"):
        parse_command("rm -rf /")


def _all_rows() -> list[Command]:
    told = [one for row in install_rows() for one in row.commands]
    told += [one for row in cuda_errors().values() for one in row.remedy.commands]
    told += [one for family in families().values() for remedy in family.remedies for one in remedy.commands]
    return told + [family.look for family in families().values() if family.look]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_row_is_a_line_that_shells_understand(shell: str) -> None:
    lines = "\n".join(map(str, _all_rows()))
    done = subprocess.run([shell, "-n"], input=lines, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_failed_download_ends_its_line_and_nothing_is_done_with_it(bench: Bench, shell: str) -> None:
    loads = [one for one in _all_rows() if "curl" in one.words]
    assert len(loads) > 8
    for one in loads:
        bench.meant(one)
        code, ran = bench.run(str(one), shell, exit=22)
        assert (code, [words[0] for words in ran]) == (22, [b"curl"])
        assert "/tmp" not in str(one)


def test_a_kernel_release_that_is_none_gives_no_command() -> None:
    for release, there in (("6.8.0-45-generic", True), ("6.1.0+", True), ("6.8.0-", False), ("1 -o X", False)):
        target = PackageHost("apt", "ubuntu", "22.04", release, "x86_64", root=True)
        assert bool(install_commands("headers", target)) is there
        assert install_commands("headers", target, kernel="*") == ()


def _places(value: Any) -> Iterator[tuple[Any, ...]]:
    """The way to each text in a value of facts."""
    if isinstance(value, str) and type(value) is str:
        yield ()
    elif is_dataclass(value):
        yield from ((one.name, *rest) for one in fields(value) for rest in _places(getattr(value, one.name)))
    elif isinstance(value, tuple):
        yield from ((number, *rest) for number, one in enumerate(value) for rest in _places(one))
    elif isinstance(value, Mapping):
        yield from ((key, *rest) for key, one in value.items() for rest in _places(one))


def _with(value: Any, place: tuple[Any, ...], text: str) -> Any:
    if not place:
        return text
    here, rest = place[0], place[1:]
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{here: _with(getattr(value, here), rest, text)})
    if isinstance(value, tuple):
        return (*value[:here], _with(value[here], rest, text), *value[here + 1 :])
    return {**value, here: _with(value[here], rest, text)}


def _at(value: Any, place: tuple[Any, ...]) -> str:
    for here in place:
        value = getattr(value, here) if is_dataclass(value) else value[here]
    return str(value)


def _remedies(id: str, evil: str) -> set[Command]:
    """What a check says on its ill host where any one text of the facts is another than it was."""
    facts, told = gather(ILL[id]), set()
    for subject in CHECKS[id].needs:
        for place in _places(facts.known(subject)):
            was = _at(facts.known(subject), place)
            for text in (was + evil, evil):
                finding = ask(CHECKS[id], facts | Facts({subject: _with(facts.known(subject), place, text)}))
                told |= set(finding.remedy.commands if finding.remedy else ())
    return told


@pytest.mark.slow
@pytest.mark.parametrize("id", sorted(ILL))
def test_whatever_a_host_says_of_itself_a_remedy_runs_what_it_names(bench: Bench, id: str) -> None:
    hostile = ("\n;touch X;$(touch X)`touch X`'\"", "-X")
    for one in sorted({one for evil in hostile for one in _remedies(id, evil)}, key=str):
        check_runs(bench, one, "sh")
