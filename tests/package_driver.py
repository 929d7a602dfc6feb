"""Installs packages and rolls that back inside a test root: `package_driver.py VERB < WISH`. Prints a JSON document."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from gpuctl.checks.engine import ask
from gpuctl.checks.every import CHECKS
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gather import gather
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.system import System
from gpuctl.facts.packages.packages import Packages
from gpuctl.host.look.local import LocalHost
from gpuctl.provision.bundle.use import read_bundle
from gpuctl.provision.change_set import ChangeSet
from gpuctl.provision.errand import Errand
from gpuctl.provision.packages.packages import PackageWish, plan_packages
from gpuctl.provision.packages.plan import PackagePlan
from gpuctl.provision.result import Refused, Wish
from gpuctl.provision.rollback import rollback
from gpuctl.provision.run.transaction import conduct

SLOW = Path("/srv/slow")


def plan(wish: dict[str, Any]) -> PackagePlan:
    host = LocalHost()
    asked = PackageWish(**{**wish, "bundle": read_bundle(wish["bundle"]) if "bundle" in wish else None})
    return plan_packages(host, gather(host, (System, Docker, Packages)), asked)


def conducted(wish: dict[str, Any], dry_run: bool) -> dict[str, Any]:
    """The packages alone: an engine's part has its own tests."""
    made = plan(wish)
    nobody = ChangeSet("", "", (), None)
    asked = Wish(dry_run=dry_run)
    result = conduct(Errand(LocalHost(), "install-runtime", asked, lambda journal: nobody, lambda *_: None, made))
    steps = [step for step in result.plan.steps if not step.diff]
    return {
        "steps": [step.text for step in steps],
        "disturbs": [step.disturbs.value for step in steps if not step.text.startswith("fetch")],
        "diff": result.diff,
        "changed": result.changed,
        **({"problem": result.error} if result.error else {}),
    }


def undo(wish: dict[str, Any]) -> dict[str, Any]:
    result = rollback(LocalHost(), Wish(force=wish.get("force", False)), None, lambda *_: None)
    return {"problem": result.error} if result.error else {"undone": True}


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
    return undo({})


def doctor(_: dict[str, Any]) -> dict[str, Any]:
    facts = gather(LocalHost(), (System, Docker, Packages, Tegra))
    findings = [ask(one, facts) for one in CHECKS.values() if one.layer == "packages"]
    return {one.id: [one.status.value, one.message] for one in findings}


def main() -> None:
    verbs = {
        "plan": lambda wish: conducted(wish, dry_run=True),
        "install": lambda wish: conducted(wish, dry_run=False),
        "undo": undo,
        "killed": killed,
        "doctor": doctor,
    }
    try:
        answer = verbs[sys.argv[1]](json.load(sys.stdin))
    except Refused as refused:
        answer = {
            "refused": str(refused),
            "remedy": [str(one) for one in refused.remedy.commands] if refused.remedy else [],
        }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
