"""Carries out a plan of packages as the transaction does, inside a test's root: `package_driver.py VERB < WISH`.

Prints one JSON document. `install` writes to /srv/before.json what an undo after a kill needs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from gpuctl.checks import CHECKS
from gpuctl.checks.engine import ask
from gpuctl.facts.docker import Docker
from gpuctl.facts.gather import gather
from gpuctl.facts.packages import Packages
from gpuctl.facts.system import System
from gpuctl.host import files
from gpuctl.host.local import LocalHost
from gpuctl.host.replace import put_back, replace
from gpuctl.provision.package_plan import PackagePlan, PackageProblem
from gpuctl.provision.packages import PackageWish, plan_packages, undo_packages
from gpuctl.provision.result import Refused

BEFORE, SLOW = Path("/srv/before.json"), Path("/srv/slow")


def plan(wish: dict[str, Any]) -> PackagePlan:
    host = LocalHost()
    return plan_packages(host, gather(host, (System, Docker, Packages)), PackageWish(**wish))


def shown(made: PackagePlan) -> dict[str, Any]:
    befores = [(edit, files.read(edit.path).raw) for edit in made.edits]
    return {
        "steps": [step.text for step in (*made.keeping, *made.steps)],
        "disturbs": [step.disturbs.value for step in made.steps],
        "diff": "".join(edit.show(edit.path, raw, edit.change(raw)) for edit, raw in befores),
        "notes": made.notes,
    }


def install(wish: dict[str, Any]) -> dict[str, Any]:
    made = plan(wish)
    if not made.steps:
        return {**shown(made), "changed": False}
    made.keep()
    BEFORE.write_text(json.dumps({"before": dict(made.before), "manager": made.manager}))
    done = []
    try:
        for edit in made.edits:
            with files.locked(edit.path):
                before = files.read(edit.path)
                new = edit.change(before.raw)
                done += [replace(before, new, edit.inspect)] if new != before.raw else []
        made.install()
    except PackageProblem as problem:
        undo_packages(LocalHost(), made.before, made.manager)
        for change in reversed(done):
            put_back(change)
        return {"problem": str(problem)}
    return {"changed": True}


def undo(_: dict[str, Any]) -> dict[str, Any]:
    kept = json.loads(BEFORE.read_text())
    undo_packages(LocalHost(), kept["before"], kept["manager"])
    return {"undone": True}


def killed(wish: dict[str, Any]) -> dict[str, Any]:
    """Kills the installing gpuctl, and nothing that it started, in the middle of dpkg; then undoes at once."""
    SLOW.touch()
    process = subprocess.Popen([sys.executable, __file__, "install"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin
    process.stdin.write(json.dumps(wish).encode())
    process.stdin.close()
    while not Path("/usr/share/gpuctl-tests/libnvidia-container1").exists():
        time.sleep(0.02)
    process.kill()
    process.wait()
    SLOW.unlink()
    return undo(wish)


def doctor(_: dict[str, Any]) -> dict[str, Any]:
    facts = gather(LocalHost(), (System, Docker, Packages))
    findings = [ask(one, facts) for one in CHECKS.values() if one.layer == "packages"]
    return {one.id: [one.status.value, one.message] for one in findings}


def main() -> None:
    verbs = {
        "plan": lambda wish: shown(plan(wish)),
        "install": install,
        "undo": undo,
        "killed": killed,
        "doctor": doctor,
    }
    try:
        answer = verbs[sys.argv[1]](json.load(sys.stdin))
    except Refused as refused:
        answer = {"refused": str(refused), "remedy": refused.remedy.commands if refused.remedy else []}
    except PackageProblem as problem:
        answer = {"problem": str(problem)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
