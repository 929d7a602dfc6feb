"""Windows' driver, which WSL has too, by its number: what it runs, and what is to be done about it."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from simhost import warm

from gpuctl.compat.knowledge.windows import is_windows
from gpuctl.compat.tables.loader import branches, cuda_rows, forward_cells, minor_version_floors, toolkits
from gpuctl.compat.versions import parts

WSL = """\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 590.57                 Driver Version: 591.86         CUDA Version: 13.1     |
|-----------------------------------------+------------------------+----------------------+
|   0  NVIDIA GeForce RTX 3090        On  |   00000000:01:00.0  On |                  N/A |
+-----------------------------------------------------------------------------------------+
"""


def answer(*argv: str, **options: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(warm.gpuctl("check", *argv, "--json", **options).stdout)
    return document


def texts(said: dict[str, Any]) -> str:
    return " ".join(remedy["text"] for remedy in said["remedies"])


@pytest.mark.parametrize(
    ("driver", "cuda", "gpu", "verdict"),
    [
        ("572.16", "12.8", "RTX 5080", "compatible"),
        ("572.16", "12.8.1", "RTX 5080", "limited"),  # its update asks for 572.61
        ("560.81", "12.6", "RTX 4060", "compatible"),  # Linux has a branch 560, and no such release of it
        ("531.79", "12.1", "RTX 3060 Ti", "compatible"),
        ("591.86", "13.1", "RTX 3090", "compatible"),  # the notes have no number for 13.x
        ("591.86", "13.2", "RTX 3090", "limited"),
        ("610.88", "13.3", "RTX 4080", "compatible"),
        ("528.33", "12.8", "RTX 3060", "limited"),
        ("527.41", "12.8", "RTX 3060", "incompatible"),  # Linux' 525.60.13 would do
        ("452.39", "11.8", "RTX 2080", "limited"),
        ("451.67", "11.8", "RTX 2080", "incompatible"),  # Linux' 450.80.02 would do
        ("470.14", "12.4", "A100", "needs-package"),  # of a branch of Linux', and no driver of Windows' that is known
        ("591.86", "12.9", "GTX 1080", "incompatible"),  # its branch dropped the GPU
    ],
)
def test_a_driver_of_windows_is_judged_by_windows_floors(driver: str, cuda: str, gpu: str, verdict: str) -> None:
    said = answer("--cuda", cuda, "--driver", driver, "--gpu", gpu)
    assert said["verdict"] == verdict
    if is_windows(driver) and verdict != "compatible":
        assert "for Windows, on Windows." in texts(said)
        assert "Upgrade the driver" not in texts(said) and "Change the driver" not in texts(said)


def test_what_nvidia_smi_prints_in_wsl_gets_a_driver_for_windows_for_a_remedy_by_check_and_by_recommend() -> None:
    checked = answer("--smi", "-", "--cuda", "13.2", stdin=WSL)
    assert checked["verdict"] == "limited" and "driver 595 or newer for Windows, on Windows." in texts(checked)
    described = ("--driver", "591.86", "--gpu", "RTX 3090")
    advised = json.loads(warm.gpuctl("recommend", "--cuda", "13.2", *described, "--json").stdout)
    assert "driver 595 or newer for Windows, on Windows." in advised["remedy"]["text"] and not advised["package"]
    assert json.loads(warm.gpuctl("recommend", "--cuda", "13.1", *described, "--json").stdout)["answer"] == "keep"


def test_no_number_that_a_table_names_for_linux_is_taken_for_one_of_windows() -> None:
    named = {
        *(text for one in toolkits() for text in (one.min_driver, one.table_min_driver, one.bundled_driver)),
        *(one.newest_version for one in branches()),
        *(bound for row in cuda_rows() for both in row.driver.alternatives for way, bound in both if way != "<"),
        *(cell.min_driver for cell in forward_cells()),
        *(floor.min_driver for floor in minor_version_floors().values()),
        *("440.64", "450.57", "470.94", "535.98", "550.78", "550.120", "565.77", "570.144", "595.84", "580.142"),
    }
    assert [driver for driver in named if driver and is_windows(driver)] == []


def test_a_newer_toolkit_asks_windows_for_no_older_driver() -> None:
    floors = [(parts(one.release), parts(one.windows_driver)) for one in toolkits() if one.windows_driver]
    assert len(floors) > 50 and all(older[1] <= newer[1] for older, newer in pairwise(sorted(floors)))


def test_hosts_of_windows_among_many_are_judged_each_by_its_own_driver() -> None:
    drivers = {"527.41": "incompatible", "525.60.13": "limited", "528.33": "limited", "572.16": "compatible"}
    rows = "driver,gpu,cuda\n" + "".join(f"{driver},RTX 3060,12.8\n" for driver in drivers)
    told = warm.gpuctl("check", "--hosts", "-", "--json", stdin=rows).stdout.splitlines()
    assert [json.loads(line)["verdict"] for line in told] == list(drivers.values())


def test_a_driver_as_windows_numbers_it_is_nvidias_by_its_last_five_digits_or_is_refused() -> None:
    assert answer("--cuda", "12.2", "--driver", "31.0.15.3713", "--gpu", "RTX 3080") == answer(
        "--cuda", "12.2", "--driver", "537.13", "--gpu", "RTX 3080"
    )
    assert answer("--cuda", "12.6", "--driver", "32.0.15.6603", "--gpu", "RTX 3080")["driver"] == "566.03"
    for other in ("31.0.101.4502", "31.0.15.371", "31.0.15.5078"):  # Intel's; cut short; 550.78, which is Linux'
        ended = warm.gpuctl("check", "--cuda", "12.2", "--driver", other, "--gpu", "RTX 3080")
        assert ended.returncode == 2 and "as Windows has it" in " ".join(ended.stderr.split())
