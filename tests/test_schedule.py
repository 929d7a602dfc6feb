"""What docs/schedule.md shows runs as pasted: by systemd, by cron's shell, and task by task of the play."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from simhost import SimHost
from simhost.process import Done

PAGE = (Path(__file__).parents[1] / "docs" / "schedule.md").read_text()
GPUCTL = "/usr/local/bin/gpuctl"
INSTALLED = str(Path(sys.executable).with_name("gpuctl"))


def shown(name: str) -> str:
    """What stands in the block of a file of that name."""
    (text,) = re.findall(rf"`/etc/[\w/.-]*{re.escape(name)}`[^`]*```\w*\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


@pytest.mark.bench
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name in ("gpuctl-doctor.service", "gpuctl-doctor.timer"):
        (tmp_path / name).write_text(shown(name).replace(GPUCTL, INSTALLED))
    units = sorted(tmp_path.iterdir())
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "gpuctl" in line]) == (0, [])


@pytest.mark.bench
@pytest.mark.parametrize("ill", [True, False])
def test_cron_mails_a_report_where_there_is_something_to_mend(ill: bool, sim_host: Callable[..., SimHost]) -> None:
    """Whatever doctor finds: cron's part is its shell, its PATH, and that it mails what is printed."""
    says = f"#!/bin/sh\necho 'toolkit: not installed'\nexit {int(ill)}\n"
    host = sim_host("v100", commands={"gpuctl": says}, links={GPUCTL: "/usr/local/sbin/gpuctl"})
    (line,) = [line for line in shown("gpuctl").splitlines() if not line.startswith("MAILTO")]
    *minutes, user, command = line.split(" ", 6)
    assert (len(minutes), user, "%" in command) == (5, "root", False)
    mailed = host.run(["/bin/sh", "-c", command], env={"PATH": "/usr/bin:/bin"})
    assert (mailed.code, mailed.out) == (0, "toolkit: not installed\n" if ill else "")


# The collector of a checkout, in the place of gpuctl-collect.pyz, which tests/test_pyz.py builds.
COLLECTOR = "import runpy\nrunpy.run_module('gpuctl.collector', run_name='__main__')\n"


@pytest.mark.bench
def test_the_play_records_a_host_and_judges_its_snapshot(sim_host: Callable[..., SimHost]) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (play,) = YAML(typ="safe").load(text)
    brought, recorded, fetched, judged = play["tasks"]
    place = play["vars"]["recorded"]
    host = sim_host("v100", files={brought["ansible.builtin.copy"]["dest"]: COLLECTOR})
    values = {"record_with": sys.executable, "recorded": place, "snapshot": place}

    def run(task: dict[str, Any]) -> Done:
        words = task["ansible.builtin.command"]["argv"]
        return host.run([values[word.strip("{} ")] if "{" in word else word for word in words])

    assert run(recorded).code == 0
    assert fetched["ansible.builtin.fetch"]["src"] == "{{ recorded }}"
    assert "The NVIDIA Container Toolkit is not installed." in run(judged).out
