"""The completion files are current, and the shells take them."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "completions"
FILES = runpy.run_path(str(FOLDER / "generate.py"))["files"]()


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_what_the_command_line_gives(name: str) -> None:
    assert (FOLDER / name).read_text() == FILES[name], "run completions/generate.py"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gpuctl ", {"doctor", "check", "matrix", "install-runtime", "rollback", "smoke", "--version"}),
        ("gpuctl inst", {"install-runtime"}),
        ("gpuctl check --c", {"--cuda"}),
        ("gpuctl doctor --only ", set()),
    ],
)
def test_bash_offers(line: str, offered: set[str]) -> None:
    script = f"""
        source {FOLDER / "gpuctl.bash"}
        COMP_LINE={line!r}; read -ra COMP_WORDS <<< "$COMP_LINE"
        [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _gpuctl; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
    got = set(done.stdout.split())
    assert offered <= got if offered else not got


def test_fish_offers() -> None:
    script = f"source {FOLDER / 'gpuctl.fish'}; complete -C 'gpuctl install-runtime --dry'"
    done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "--dry-run"


def test_zsh_reads_its_file() -> None:
    script = (
        f"autoload -Uz compinit; compinit -D -u; fpath=({FOLDER} $fpath); autoload -Uz _gpuctl; autoload +X _gpuctl"
    )
    done = subprocess.run(["zsh", "-fc", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
