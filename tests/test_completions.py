"""The completion files are current, and the shells take them."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path

import pytest

from gpuctl.model import ENGINES

FOLDER = Path(__file__).parents[1] / "completions"
FILES = runpy.run_path(str(FOLDER / "generate.py"))["files"]()


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_what_the_command_line_gives(name: str) -> None:
    assert (FOLDER / name).read_text() == FILES[name], "run completions/generate.py"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gpuctl ", {"doctor", "check", "matrix", "recommend", "image", "install-runtime", "--version"}),
        ("gpuctl inst", {"install-runtime"}),
        ("gpuctl check --c", {"--cuda"}),
        ("gpuctl image --f", {"--flavour"}),
        ("gpuctl doctor --only ", {"docker", "registration.runtime"}),
        ("gpuctl explain driver-lib", {"driver-library-mismatch"}),
        ("gpuctl explain registration.r", {"registration.runtime"}),
        ("gpuctl image --flavour d", {"devel"}),
        ("gpuctl doctor --from compl", {"completions"}),
        ("gpuctl check --cuda ", set()),
        ("gpuctl install-runtime --engine ", set(ENGINES)),
        ("gpuctl doctor --format j", {"json", "junit"}),
        ("gpuctl data ", {"show", "verify", "use", "--help"}),
        ("gpuctl data us", {"use"}),
        ("gpuctl data use --", {"--bundled", "--dry-run", "--json", "--help"}),
        ("gpuctl data verify compl", {"completions"}),
        ("gpuctl diff compl", {"completions"}),
        ("gpuctl collect --o", {"--output"}),
    ],
)
def test_bash_offers(line: str, offered: set[str]) -> None:
    script = f"""
        source {FOLDER / "gpuctl.bash"}
        COMP_LINE={line!r}; read -ra COMP_WORDS <<< "$COMP_LINE"
        [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _gpuctl; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True, cwd=FOLDER.parent)
    got = set(done.stdout.split())
    assert offered <= got if offered else not got


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gpuctl install-runtime --dry", ["--dry-run"]),
        ("gpuctl data ", ["refresh", "show", "use", "verify"]),
        ("gpuctl data use --bun", ["--bundled"]),
        ("gpuctl install-runtime --engine ", sorted(ENGINES)),
        ("gpuctl doctor --only registration.runtime-", ["registration.runtime-path"]),
        ("gpuctl explain driver-lib", ["driver-library-mismatch"]),
        ("gpuctl data verify compl", ["completions/"]),
    ],
)
def test_fish_offers(line: str, offered: list[str]) -> None:
    script = f"source {FOLDER / 'gpuctl.fish'}; complete -C '{line}'"
    argv = ["fish", "--no-config", "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=FOLDER.parent)
    assert [one.split("\t")[0] for one in done.stdout.splitlines()] == offered


def test_zsh_reads_its_file() -> None:
    script = (
        f"autoload -Uz compinit; compinit -D -u; fpath=({FOLDER} $fpath); autoload -Uz _gpuctl; autoload +X _gpuctl"
    )
    done = subprocess.run(["zsh", "-fc", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
