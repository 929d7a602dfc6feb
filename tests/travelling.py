"""The travelling part of gpuctl, and what it sees: run by an old Python, which this file is written for, too.

`python travelling.py FILE…` loads every file of it and writes the facts of each snapshot, pickled.
"""

from __future__ import annotations

import pickle
import runpy
import sys
from importlib import import_module
from pathlib import Path
from typing import Dict, List

ROOT = Path(__file__).parents[1]
BUILD = runpy.run_path(str(ROOT / "pyz" / "build.py"))
DEADLINE = 120.0
"""Seconds for all probes: the old Python has a busy machine, too."""


def travelling() -> List[Path]:
    """Returns the files of the travelling part."""
    parts = [ROOT / "gpuctl" / part for part in BUILD["TRAVELS"]]
    return sorted(file for part in parts for file in (part.rglob("*.py") if part.is_dir() else [part]))


def facts_of(snapshots: List[str]) -> Dict[str, Dict[type, object]]:
    """Returns what is seen of the host of each snapshot's file."""
    from gpuctl.facts.gather import gather
    from gpuctl.host.record.archive import decode

    return {name: dict(gather(decode(Path(name).read_bytes()).host, deadline=DEADLINE).found) for name in snapshots}


def _load_all() -> None:
    for file in travelling():
        import_module(".".join(file.relative_to(ROOT).with_suffix("").parts).replace(".__init__", ""))


if __name__ == "__main__":
    _load_all()
    sys.stdout.buffer.write(pickle.dumps(facts_of(sys.argv[1:])))
