"""`gpuctl dockerfile lint`: Dockerfiles are read as BuildKit reads them, told in every format, and mended in place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from simhost import warm
from test_dockerfile_rules import ILL, SOUND

from gpuctl.dockerfile.lint import Linted, lint, mended
from gpuctl.dockerfile.source import BadDockerfile, DockerfileText, read_source
from gpuctl.dockerfile.stages import read_dockerfile

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "tests" / "data" / "dockerfiles").glob("*.Dockerfile"))
EXPECTED = (ROOT / "tests" / "data" / "dockerfiles" / "expected.txt").read_text().splitlines()
GOOD = f"FROM nvidia/cuda@sha256:{'a' * 64}\n"
"""Of which no table and no day says anything."""
BAD = GOOD + "RUN nvidia-smi\n"
NOTE = GOOD + "RUN ulimit -n 65536\n"


def run(*argv: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[str]:
    return warm.gpuctl("dockerfile", "lint", *argv, stdin=stdin, env={**os.environ, **env})


NOT_IN_IT = "_DEVICE _DIRECTIVE _FILE _FLAG _FOLDER _NETWORK_KEY _SOCKET _UBUNTU _CUDA_REPOSITORY _VARIABLE _VERSION"
COMPILED = """
import sys
from pathlib import Path
from gpuctl.dockerfile.lint import lint
from gpuctl.regex import regex
lint(Path(sys.argv[1]).read_bytes(), "")
files = [vars(file).items() for name, file in sys.modules.items() if name.startswith("gpuctl.")]
print(*(name for file in files for name, one in file if isinstance(one, regex) and vars(one).keys() - {"_made"}))
"""


def test_what_does_not_stand_in_a_dockerfile_costs_no_pattern() -> None:
    argv = (sys.executable, "-c", COMPILED, str(FILES[0].with_name("source-document.Dockerfile")))
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT)
    assert "_TAG" in done.stdout, done.stderr
    assert set(done.stdout.split()) & set(NOT_IN_IT.split()) == set()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Dockerfile"
    path.write_text(BAD)
    return path


# Reading

CORNERS = [
    "# escape=`\nFROM a\nRUN a `\n  b\nRUN c\\\nRUN d\n",
    "# syntax=docker/dockerfile:1\n# escape=\\\nFROM a AS b\nRUN a\n",
    "\ufeffFROM a\r\nRUN b \\\r\n  c\r\n\r\nRUN d\r\n",
    "FROM a\nRUN b && \\\n# a comment\n\n   # another \\\n  c\nRUN d\n",
    "FROM a\nRUN b \\   \n  c\nENV A=b\n",
    "FROM a\nRUN <<A <<-B cat\nRUN x\nA\n\tRUN y\n\tB\nRUN z\n",
    'FROM a\nCOPY <<\'E\' <<"F" /b/\nFROM c\nE\nRUN\nF\nRUN ["<<G"]\nRUN a<<H\n',
    "FROM a\nONBUILD RUN b\nONBUILD COPY --from=c d e\nHEALTHCHECK --interval=1s CMD b\n",
    "ARG A=b\nFROM --platform=$BUILDPLATFORM $A\nCOPY --from=0 --chown=a:b c d\nRUN --mount=type=cache,target=/a b\n",
    "from a\nrun b\nEnv A b\nRUN c \\",
    "FROM a\nRUN [ -f b ] \\\n  [ -f c ] && d\nENV A-B=c D=$(e)\nLABEL a=`b`\n",
]
"""What parsers stumble over: escapes, comments and empty lines within instructions, heredocs, line ends, odd names."""


def by_buildkit(text: str) -> list[tuple[str, int, tuple[str, ...]]] | None:
    """None where it refuses the text."""
    dockerfile = pytest.importorskip("dockerfile", reason="BuildKit's parser is not built for this machine")
    try:
        parsed = dockerfile.parse_string(text)
    except dockerfile.GoParseError:
        return None
    return [(one.cmd.upper(), one.start_line, tuple(one.flags)) for one in parsed]


def by_gpuctl(source: DockerfileText) -> list[tuple[str, int, tuple[str, ...]]]:
    # BuildKit's parser leaves the flags of what ONBUILD wraps to a later step.
    return [
        ("ONBUILD", one.line, ()) if one.onbuild else (one.name, one.line, one.flags) for one in source.instructions
    ]


@pytest.mark.parametrize("text", [*CORNERS, *(path.read_text() for path in FILES)])
def test_instructions_are_those_that_buildkits_own_parser_finds(text: str) -> None:
    assert by_gpuctl(read_source(text.encode())) == by_buildkit(text)


LINES = st.sampled_from(
    [
        *("RUN a", "RUN a \\", "  b && \\", "# c", "", "COPY <<E /d", "E", "ENV A=b \\", "\tc", "RUN <<-'F'", "\tF"),
        *('CMD ["a"]', "\\"),
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(LINES, max_size=12))
def test_instructions_are_buildkits_whatever_the_lines(lines: list[str]) -> None:
    text = "\n".join(["FROM a", *lines, ""])
    try:
        mine = by_gpuctl(read_source(text.encode()))
    except BadDockerfile:
        return
    assert by_buildkit(text) in (mine, None)


def test_every_place_is_where_the_word_stands_in_the_file() -> None:
    raw = "FROM a\nRUN à && \\\n # c\n apt-get install \\\n  'b'  cuda-12-4\n".encode()
    (step,) = read_dockerfile(raw).stages[0].steps
    words = [word for command in step.commands for word in command.words]
    assert [raw[word.start : word.end].decode() for word in words] == ["à", "apt-get", "install", "'b'", "cuda-12-4"]
    assert words[3].value == "b"
    assert [fault.column for fault in lint(GOOD.encode() + "COPY à libcuda.so.1 /b\n".encode(), "D").faults] == [8]


def test_commands_are_found_wherever_a_shell_runs_them() -> None:
    text = (
        'FROM a\nRUN if x; then (y "$(z)"); fi || sudo -E A=1 env B=2 w; for i in 1; do v; done | u\n'
        "RUN <<E\nt\nE\nRUN bash -e <<E\ns\nE\n"
        'RUN ["r", "a"]\nRUN sh -ec \'q; p\'\nRUN python3 <<E\nno\nE\nSHELL ["pwsh"]\nRUN no\n'
    )
    steps = read_dockerfile(text.encode()).stages[0].steps
    found = {command.program for step in steps for command in step.commands}
    assert found - {"bash", "sh", "python3"} == set("xyzwvutsrqp")


def test_variables_are_those_of_arg_env_and_build_arg() -> None:
    text = (
        "ARG A=1 B=2\nFROM x:${A}-${B:-3}-${C:+4}${D-5} AS one\nARG B\n"
        "ENV E=$B F=\"${A}\" G='$B' H=\\$B\nRUN c $E $F $G $H\nFROM one\nRUN d $E\n"
    )
    stages = read_dockerfile(text.encode(), {"A": "9"}).stages
    assert stages[0].image == "x:9-2-5"
    (command,) = stages[0].steps[-1].commands
    assert command.values == ("c", "2", "${A}", "$B", "$B")
    assert stages[1].parent is stages[0] and stages[1].root == "x:9-2-5"
    assert stages[1].steps[0].commands[0].values == ("d", "2")


# Judging


def test_the_real_files_have_the_faults_that_a_person_finds_in_them() -> None:
    found = [(path.name, one) for path in FILES for one in lint(path.read_bytes(), path.name).faults]
    assert [f"{name}:{one.line}:{one.column} {one.rule.id}" for name, one in found] == EXPECTED


def linted(raw: bytes) -> Linted | None:
    try:
        return lint(raw, "Dockerfile")
    except BadDockerfile as error:
        assert str(error).startswith("line ")
        return None


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_are_linted_or_refused_with_their_line(raw: bytes) -> None:
    for text in (raw, GOOD.encode() + b"RUN " + raw, GOOD.encode() + b"ENV " + raw + b"\nCOPY " + raw):
        found = linted(text)
        assert found is None or all(1 <= one.line <= len(text.splitlines()) and one.column > 0 for one in found.faults)


FRAGMENTS = sorted({text.partition("\n")[2] for many in ILL.values() for text, _ in many if text.startswith("FROM")})


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=6), st.text(max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_mending_leaves_nothing_to_mend_and_every_other_line_as_it_was(parts: list[str], name: str, end: str) -> None:
    raw = (GOOD + f"LABEL a={name}\n" + "".join(parts)).replace("\n", end).encode("utf-8", "replace")
    before = linted(raw)
    if before is None:
        return
    new, left = mended(raw, "Dockerfile")
    assert not any(one.fixable for one in left.faults)
    assert mended(new, "Dockerfile")[0] == new
    assert by_buildkit(raw.decode()) is None or by_buildkit(new.decode())
    touched = {one.line for one in before.faults if one.fixable}
    kept = [line for number, line in enumerate(raw.split(b"\n"), 1) if number not in touched]
    rest = iter(new.split(b"\n"))
    assert all(line in rest for line in kept)


@pytest.mark.parametrize("text", [text for many in SOUND.values() for text in many])
def test_what_has_nothing_to_mend_is_not_changed(text: str) -> None:
    found = lint(text.encode(), "Dockerfile")
    changed = mended(text.encode(), "Dockerfile")[0] != text.encode()
    assert changed == any(one.fixable for one in found.faults)


# The command


def test_the_exit_code_is_that_of_what_was_found(file: Path) -> None:
    done = run(str(file), COLUMNS="300")
    assert (done.returncode, done.stderr) == (1, "")
    said = "warning nvidia-smi asks for a GPU, and a build has none. [dockerfile.gpu-in-build]"
    assert f"{file}:2:5: {said}\n" in done.stdout
    file.write_text(NOTE)
    done = run(str(file))
    assert done.returncode == 0 and "1 note." in done.stdout
    done = run("-", stdin=GOOD.encode())
    assert (done.returncode, done.stdout) == (0, "1 file: nothing is wrong for GPUs.\n")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "line 1: there is no FROM"),
        (b"ARG A\nRUN a\n", "line 2: there is no FROM"),
        (b"FROM \n", "line 1: FROM takes an image"),
        (b"FROM a\nFROM a b\n", "line 2: FROM takes an image"),
        (b"FROM a\nCOPY b\n", "line 2: COPY takes a source and a destination"),
        (b"FROM a\n\nENV\n", "line 3: ENV takes a value"),
        (b"RUN a\nFROM b\n", "line 1: RUN comes before the first FROM"),
        (b"FROM a\nRUN b\nCOPYY c d\n", "line 3: 'COPYY' is no instruction"),
        (b"FROM a\n\nRUN <<E\nb\n", "line 3: the heredoc 'E' is never closed"),
        (b"FROM a\n\x7fELF\0\0", "line 2: there is a NUL byte"),
        ("FROM a\n".encode("utf-16"), "line 1: there is a NUL byte"),
        (b"FROM a\n" + b"#\n" * 200_000, "line 1: the file is larger than 256 KiB"),
        (b"FROM a\n" * 3000, "line 2001: there are more than 2000 instructions"),
        (b"FROM a\nRUN " + b"b" * 70_000, "line 2: it is longer than 65535 bytes"),
        (b"# escape=x\nFROM a\n", "line 1: the escape directive"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_bad_input_is_one_sentence_with_its_line_and_nothing_is_written(raw: bytes, words: str, file: Path) -> None:
    good = file.with_name("other")
    good.write_text(GOOD + "ENV LD_LIBRARY_PATH=/a\n")
    file.write_bytes(raw)
    done = run("--fix", str(good), str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {file}: {words}") and done.stderr.count("\n") == 1
    assert file.read_bytes() == raw and good.read_text().endswith("=/a\n")


@pytest.mark.parametrize(
    "argv",
    [("nowhere",), ("--json", "--format", "sarif"), ("--build-arg", "A"), ("--fix", "-"), ("--driver", "x"), ()],
    ids=str,
)
def test_wrong_usage_is_told_as_such(argv: tuple[str, ...], file: Path) -> None:
    done = run(*argv, *([] if argv in ((), ("nowhere",)) else [str(file)]))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr and "Traceback" not in done.stderr


def test_json_conforms_to_its_schema(file: Path) -> None:
    document = json.loads(run("--json", str(file), *map(str, FILES)).stdout)
    schema = json.loads((ROOT / "data" / "schemas" / "dockerfile-lint.schema.json").read_text())
    Draft202012Validator(schema).validate(document)
    (finding,) = document["files"][0]["findings"]
    assert (finding["line"], finding["column"], finding["end_column"]) == (2, 5, 15)


def test_sarif_is_read_by_a_tool_of_others(tmp_path: Path) -> None:
    report, table = tmp_path / "report.sarif", tmp_path / "report.csv"
    report.write_text(run("--format", "sarif", *map(str, FILES)).stdout)
    tool = Path(sys.executable).parent / "sarif"
    done = subprocess.run([tool, "csv", "-o", table, report], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert table.read_text().count("dockerfile.") == len(EXPECTED)


def test_the_fixes_in_sarif_make_what_fix_makes(file: Path) -> None:
    text = GOOD + "# ä\nENV Ä=ö LD_LIBRARY_PATH=/ä X=1\nRUN apt-get update\nRUN apt-get install -y libgomp1\n"
    file.write_text(text)
    (run_,) = json.loads(run("--format", "sarif", str(file)).stdout)["runs"]
    fixes = [fix for result in run_["results"] for fix in result.get("fixes", ())]
    pieces = [piece for fix in fixes for piece in fix["artifactChanges"][0]["replacements"]]
    assert len(pieces) == 2 and {fix["artifactChanges"][0]["artifactLocation"]["uri"] for fix in fixes} == {str(file)}
    lines = text.splitlines(keepends=True)

    def offset(line: int, column: int) -> int:
        return len("".join(lines[: line - 1])) + column - 1

    for piece in reversed(pieces):
        region = piece["deletedRegion"]
        start, end = (offset(region[f"{one}Line"], region[f"{one}Column"]) for one in ("start", "end"))
        text = text[:start] + piece["insertedContent"]["text"] + text[end:]
    assert run("--fix", str(file)).returncode == 0 and file.read_text() == text


def test_a_comment_leaves_rules_out_for_what_follows(file: Path) -> None:
    file.write_text(GOOD + "# gpuctl ignore=dockerfile.limits, dockerfile.gpu-in-build\nRUN true && \\\n  nvidia-smi\n")
    done = run(str(file))
    assert done.returncode == 0 and "Ignored by comments: 1." in done.stdout
    file.write_text(GOOD + "RUN true && \\\n# gpuctl ignore=dockerfile.gpu-in-build\n  nvidia-smi\nRUN nvidia-smi\n")
    assert [one["line"] for one in json.loads(run("--json", str(file)).stdout)["files"][0]["findings"]] == [5]


def test_fix_writes_the_file_once_and_keeps_its_permissions(file: Path) -> None:
    file.write_text(GOOD + "ENV LD_LIBRARY_PATH=/a\n")
    file.chmod(0o640)
    done = run("--fix", str(file))
    assert done.returncode == 0 and "Mended: 1." in done.stdout
    assert file.read_text() == GOOD + "ENV LD_LIBRARY_PATH=/a:${LD_LIBRARY_PATH}\n"
    assert file.stat().st_mode & 0o777 == 0o640
    before = file.stat()
    assert run("--fix", str(file)).returncode == 0
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_hosts_that_do_not_run_the_image_are_named(file: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.csv"
    fleet.write_text("host,driver,gpu\nnew,580.65.06,A100\nold,418.87.00,GeForce RTX 2080 Ti\n")
    file.write_text("FROM nvidia/cuda:12.4.1-base-ubi9\n")
    done = run(str(file), "--hosts", str(fleet), COLUMNS="300")
    assert done.returncode == 1
    assert "CUDA 12.4.1 of nvidia/cuda:12.4.1-base-ubi9 does not run on old." in done.stdout
    assert run(str(file), "--driver", "580.65.06", "--gpu", "A100").returncode == 0
    assert run(str(file), "--driver", "418.87.00", "--gpu", "RTX 2080 Ti").returncode == 1
    assert run(str(file), "--gpu", "Tesla K80").returncode == 1


def test_hosts_in_a_pipe_of_which_nobody_writes_hold_nobody(file: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (str(tmp_path / "fifo"), "/dev/zero"):
        done = run(str(file), "--hosts", path)
        assert (done.returncode, done.stdout, done.stderr) == (
            2,
            "",
            f"Error: cannot read {path}: not a regular file.\n",
        )


@pytest.mark.parametrize("argv", [("-", "-"), ("-", "/dev/stdin"), ("-", "--hosts", "-")])
def test_what_can_be_read_once_is_named_once(argv: tuple[str, ...]) -> None:
    done = run(*argv, stdin=GOOD.encode())
    assert (done.returncode, done.stdout) == (2, "") and "standard input is named twice" in done.stderr


def test_words_of_others_steer_no_terminal(file: Path) -> None:
    file.write_text(GOOD + "RUN apt-get install -y 'cuda-drivers\x1b[31m' && \x1b]0;x\x07 nvidia-smi\n")
    assert "\x1b" not in run(str(file)).stdout


HOSTILE = {
    "chain": "a && " * 12_000,
    "open": "(" * 60_000,
    "lists": "a=(" * 20_000,
    "quotes": "'\"" * 30_000,
    "expansions": "${" * 30_000,
    "heredocs": "<<A " * 15_000 + "\n" + "A\n" * 15_000,
    "packages": "pip install " + "nvidia-nccl-cu12 " * 3000,
    "itself": 'a\nENV A=\'sh -c "$A"; sh -c "$A"\'\nRUN sh -c "$A"',
    "growing": "a\n" + "ENV A=x$A$A$A$A\n" * 1500 + "RUN $A$A$A",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_with_the_text_and_not_with_its_square(name: str) -> None:
    began = time.process_time()
    assert linted((GOOD + "RUN " + HOSTILE[name] + "\n").encode()) is not None
    assert time.process_time() - began < 30  # processor time; a square would take minutes
