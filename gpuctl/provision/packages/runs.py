"""Running a package manager: it waits for its lock, and what it said is made a sentence."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from itertools import pairwise

from gpuctl.host.act.process import run_long
from gpuctl.host.look.reading import Outcome, Reading
from gpuctl.host.record.redact import without_secrets
from gpuctl.provision.packages.plan import PackageProblem
from gpuctl.regex import regex

DEADLINE = 900.0
LOCK_DEADLINE = 120.0
KEPT = "/var/lib/gpuctl/packages"
"""Where the packages lie that an undo needs."""
BY_HAND = f"Put its file into {KEPT}, and run gpuctl again."
"""What helps where nobody has a package any more that an undo would need."""
_PAUSE = 1.0
_LOCKED = regex(r"could not get lock|unable to acquire|locked by another process|is locked by|transaction lock", re.I)
_TOLD = regex(r"^(E:|W:|dpkg:|error:|Error:|Problem|Failed|Cannot|No package|No match)", re.MULTILINE)
_NOISE = regex("Some index files failed to download")
_LINES, _LETTERS = 2, 400
_ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_SUSPEND": "1",  # needrestart(1): else it restarts services, and with them containers
}


def run_manager(argv: Sequence[str], folder: str | None = None) -> Reading:
    """Returns how it ended. While another holds its lock it is tried again, for LOCK_DEADLINE seconds."""
    end = time.monotonic() + LOCK_DEADLINE
    while True:
        said = run_long(argv, DEADLINE, _ENVIRONMENT, folder)
        if said.ok or not _LOCKED.search(said.text) or time.monotonic() > end:
            return said
        time.sleep(_PAUSE)


def must(doing: str, said: Reading) -> Reading:
    """Returns the reading. Raises PackageProblem where the command failed, with what was being done and its reason."""
    if not said.ok:
        raise PackageProblem(f"{doing} failed: {reason(said)}")
    return said


def reason(said: Reading) -> str:
    """Returns a sentence or more of what a command said of its failure, with no secret in it."""
    lines = [line.strip() for line in said.text.splitlines() if line.strip()]
    # dpkg puts the reason on a line of its own.
    whole = [f"{line} {after}" if line.endswith(":") else line for line, after in pairwise((*lines, ""))]
    told = [line for line in whole if _TOLD.match(line) and not _NOISE.search(line)]
    errors = [line for line in told if not line.startswith("W:")] or told or lines[-1:]
    words = " ".join(dict.fromkeys(line.removeprefix("E: ").removeprefix("W: ") for line in errors[:_LINES]))
    cut = said.detail if said.outcome is not Outcome.OK else f"exit status {said.code}"
    text = without_secrets(words)[:_LETTERS] or cut
    return text if text.endswith(".") else f"{text}."
