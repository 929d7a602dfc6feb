"""Carries out one engine's setup on the host where it runs: `python carry_out.py ENGINE WISH`, WISH being JSON.

Files are written and the daemon is told, as transaction.py does, without its journal and undo. Prints JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpuctl.facts.gather import gather
from gpuctl.host.local import LocalHost
from gpuctl.provision.result import Refused, Wish
from gpuctl.provision.setup import DaemonProblem


def carry_out(engine: Any, wish: Wish) -> dict[str, Any]:
    host = LocalHost()
    facts = gather(host)
    setup = engine.plan(host, facts, wish)
    contents, changed, shown = {}, False, ""
    for edit in setup.edits:
        place = Path(edit.path)
        before = place.read_bytes() if place.exists() else None
        contents[edit.path] = new = edit.change(before)
        if new != before and new is not None:
            changed, shown = True, edit.show(edit.path, before, new)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(new)
    daemon = setup.daemon
    told = {"changed": changed, "diff": shown, "notes": setup.notes, "late": setup.late, "remedy": None, "verified": ""}
    if daemon is None:
        return {**told, "restart_needed": setup.restart_needed, "live": False}
    if changed or daemon.difference(contents):
        if setup.restart and daemon.restarting:
            daemon.restart(contents, wish.deadline)
        elif daemon.reloading:
            daemon.reload(contents, wish.deadline)
    running = engine.running(host, facts) is not None
    return {
        **told,
        "restart_needed": setup.restart_needed,
        "live": running,
        "verified": not daemon.difference(contents),
    }


def main() -> None:
    engine = importlib.import_module(f"gpuctl.provision.{sys.argv[1]}")
    try:
        done = carry_out(engine, Wish(**json.loads(sys.argv[2])))
    except Refused as refused:
        done = {"refused": str(refused), "remedy": asdict(refused.remedy) if refused.remedy else None}
    except DaemonProblem as problem:
        done = {"problem": f"{type(problem).__name__}: {problem}"}
    print(json.dumps(done))


main()
