"""Text for people: folded at the terminal's width, and what is to be copied left whole."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.model import Evidence, Finding, Status
from gpuctl.render.draw.text import Styled
from gpuctl.render.views.finding import finding_text

pytestmark = pytest.mark.slow

SNAPSHOTS = sorted((Path(__file__).parent / "snapshots").glob("*.jsonl"))
ELSEWHERE = ("--driver", "535.54.03", "--gpu", "A100")
TOLD = (
    ("check", "--cuda", "12.4,13.0", *ELSEWHERE),
    ("check", "--framework", "pytorch==2.4.0+cu121", *ELSEWHERE),
    ("image", *ELSEWHERE),
    ("explain", "no-gpu-device-driver"),
    ("explain", "driver.nvml"),
    *(("doctor", "--from", str(snapshot)) for snapshot in SNAPSHOTS),
)


def told(*argv: str, columns: int | None = None) -> str:
    surroundings = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    surroundings |= {"COLUMNS": str(columns)} if columns else {}
    done = subprocess.run([sys.executable, "-m", "gpuctl", *argv], capture_output=True, text=True, env=surroundings)
    assert not done.stderr
    return done.stdout


def test_the_command_of_a_dry_run_is_one_line_at_any_width() -> None:
    snapshot = next(one for one in SNAPSHOTS if one.stem == "dgx-a100")
    assert told("smoke", "--dry-run", "--from", str(snapshot), columns=60).count("\n") == 1


def test_evidence_of_several_lines_is_told_in_one() -> None:
    seen = Evidence("dpkg --audit", "half configured:\n\tman-db\n")
    finding = Finding("packages.dpkg-whole", "packages", Status.WARN, "It was interrupted.", (seen,))
    assert finding_text(finding, verbose=True).plain.endswith("dpkg --audit: half configured: man-db\n")


def _may_be_long(line: str) -> bool:
    """Whether it is a command, or has no blank to fold at: one word such as an address, and what stands before it."""
    return line.lstrip().startswith("$ ") or re.fullmatch(r" *(\S{1,13}  +)?\S+", line) is not None


@pytest.mark.parametrize("argv", TOLD, ids=lambda argv: Path(argv[-1]).stem)
def test_no_line_is_wider_than_60_columns_allow_and_no_word_is_lost(argv: tuple[str, ...]) -> None:
    narrow = told(*argv, columns=60)
    assert [line for line in narrow.splitlines() if len(line) > 60 and not _may_be_long(line)] == []
    assert narrow.split() == told(*argv).split()


def test_the_tables_fit_80_columns() -> None:
    wide = told("matrix", columns=200)
    assert max(len(line.rstrip()) for line in wide.splitlines() if line[:1].isdigit() or line[:4] == "CUDA") <= 80
    assert told("matrix", columns=80).split() == wide.split()


def test_what_a_program_reads_is_folded_at_no_width() -> None:
    argv = ("check", "--cuda", "12.4", *ELSEWHERE, "--format")
    for format in ("json", "prometheus", "nagios", "markdown"):
        assert told(*argv, format, columns=60) == told(*argv, format)
    assert json.loads(told(*argv, "json", columns=60))


_PIECES = st.lists(st.tuples(st.text("ab \n", max_size=40), st.booleans()), max_size=8)


@given(_PIECES, st.integers(1, 30))
def test_folding_moves_blanks_only_and_leaves_whole_lines_whole(pieces: list[tuple[str, bool]], width: int) -> None:
    text = Styled()
    for words, whole in pieces:
        text.append(words, whole=whole)
    folded = text.folded(width)
    assert folded.plain.split() == text.plain.split()
    lines = folded.plain.split("\n")
    assert all(line in lines for words, whole in pieces if whole for line in words.split("\n")[1:-1])
