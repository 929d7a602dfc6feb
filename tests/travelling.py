"""The travelling part of gpuctl, and what it sees: run by an old Python, which this file is written for, too.

`python travelling.py snapshots FILE…` loads every file of it and writes the facts of each snapshot, pickled;
`python travelling.py collect` writes this host's snapshot.
"""

from __future__ import annotations

import pickle
import sys
from importlib import import_module
from pathlib import Path
from typing import Dict, List

ROOT = Path(__file__).parents[1]
FILES = ("__init__.py", "bounds.py", "command.py", "documents.py", "frozen.py", "model.py")
FOLDERS = ("facts", "host")
DEADLINE = 120.0
"""Seconds for all probes: the old Python has a busy machine, too."""


def travelling() -> List[Path]:
    """Returns the files of the travelling part."""
    package = ROOT / "gpuctl"
    return sorted([package / name for name in FILES] + [p for name in FOLDERS for p in (package / name).rglob("*.py")])


def facts_of(snapshots: List[str]) -> Dict[str, Dict[type, object]]:
    """Returns what is seen of the host of each snapshot's file."""
    from gpuctl.facts.gather import gather
    from gpuctl.host.record.archive import decode

    return {name: dict(gather(decode(Path(name).read_bytes()).host, deadline=DEADLINE).found) for name in snapshots}


def _load_all() -> None:
    for file in travelling():
        import_module(".".join(file.relative_to(ROOT).with_suffix("").parts).replace(".__init__", ""))


def _collected() -> bytes:
    from gpuctl import __version__
    from gpuctl.facts.collect import collect
    from gpuctl.host.look.local import LocalHost
    from gpuctl.host.record.archive import encode

    return encode(collect(LocalHost(), __version__, 0.0, False))


if __name__ == "__main__":
    _load_all()
    said = _collected() if sys.argv[1] == "collect" else pickle.dumps(facts_of(sys.argv[2:]))
    sys.stdout.buffer.write(said)
