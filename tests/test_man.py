"""The manual page is current, and roff takes it."""

from __future__ import annotations

import re
import runpy
import subprocess
from pathlib import Path

from gpuctl.cli.frame.app import COMMANDS

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_is_what_the_command_line_gives() -> None:
    assert (DOCS / "gpuctl.1").read_text() == runpy.run_path(str(DOCS / "man.py"))["page"](), "run docs/man.py"


def test_roff_prints_every_command_and_its_options() -> None:
    argv = ["groff", "-man", "-K", "utf8", "-T", "utf8", "-P", "-cbou", "-ww", DOCS / "gpuctl.1"]
    printed = subprocess.run(argv, capture_output=True, text=True)
    assert (printed.returncode, printed.stderr) == (0, "")
    words = set(re.split(r"[\s,]+", printed.stdout))
    assert {*COMMANDS, "--anonymise", "--requirements", "--dry-run", "verify"} <= words
