"""Names that nvidia-smi prints, and what it prints as a whole, as people paste it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.compat.ask.smi import machine_of_smi
from gpuctl.compat.knowledge.gpus.gpus import find_gpu, gpu_described, gpu_of_nvml

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("name", "capability", "brand"),
    [
        ("GRID T4-16Q", "7.5", "vws"),
        ("GRID T4-1B4", "7.5", "vpc"),
        ("NVIDIA A16-8C", "8.6", "vcs"),
        ("NVIDIA A10-24A", "8.6", "vapps"),
        ("NVIDIA L40S-48Q", "8.9", "vws"),
        ("NVIDIA H100L-94C", "9.0", "vcs"),
        ("NVIDIA H100XM-80C", "9.0", "vcs"),
        ("NVIDIA H200X-141C", "9.0", "vcs"),
        ("NVIDIA A30-4C", "8.0", "vcs"),
        ("NVIDIA A100-1-5CME", "8.0", "vcs"),
        ("GRID A100D-4-40C", "8.0", "vcs"),
        ("GRID V100DX-32Q", "7.0", "vws"),
        ("GRID P40-24Q", "6.1", "vws"),
        ("GRID M60-8Q", "5.2", "vws"),
        ("GRID RTX6000-24Q", "7.5", "vws"),
        ("GRID RTX8000P-48Q", "7.5", "vws"),
        ("NVIDIA RTX6000-Ada-48Q", "8.9", "vws"),
        ("NVIDIA RTXA6000-48Q", "8.6", "vws"),
        ("NVIDIA RTX Pro 6000 Blackwell DC-96Q", "12.0", "vws"),
        ("GRID K120Q", "3.0", "grid"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "8.0", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb+me", "9.0", "nvidia"),
        ("NVIDIA H100 80GB HBM3 MIG 1c.3g.40gb", "9.0", "nvidia"),
        ("NVIDIA Thor", "11.0", None),
        ("Orin (nvgpu)", "8.7", None),
        ("GeForce GTX 108...", "6.1", "geforce"),
        ("NVIDIA GeForce RTX 408...", "8.9", "geforce"),
        ("NVIDIA RTX A600...", "8.6", None),
        ("NVIDIA RTX 6000...", "8.9", None),
        ("NVIDIA H100 80GB HB...", "9.0", "nvidia"),
    ],
)
def test_a_name_that_nvidia_smi_prints_is_the_board_behind_it(name: str, capability: str, brand: str | None) -> None:
    assert (find_gpu(name).compute_capability, find_gpu(name).brand) == (capability, brand)
    told = gpu_described(name, capability)
    assert (told.name, told.brand) == (name, brand)
    assert gpu_of_nvml(name, None, None).compute_capability in (capability, "")


@pytest.mark.parametrize("name", ["NVIDIA GeForce ...", "MIG 1g.5gb", "GRID Voodoo-16Q", "NVIDIA -8C", "..."])
def test_a_name_that_leaves_the_board_open_is_not_guessed(name: str) -> None:
    with pytest.raises(ValueError, match=r"no NVIDIA GPU|may be"):
        find_gpu(name)


TABLE = """\
Fri Nov 27 10:00:00 2026
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 550.54.15              Driver Version: 550.54.15      CUDA Version: 12.4     |
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
|   0  NVIDIA A100-SXM4-40GB          On  |   00000000:07:00.0 Off |                    0 |
| N/A   30C    P0             52W /  400W |       4MiB /  40960MiB |      0%      Default |
|   1  NVIDIA GeForce RTX 409...      Off |   00000000:08:00.0 Off |                  N/A |
|   2  NVIDIA Graphics Device         Off |   00000000:09:00.0 Off |                  N/A |
+-----------------------------------------------------------------------------------------+
| Processes:                                                                              |
|  GPU   GI   CI        PID   Type   Process name                              GPU Memory |
|    0   N/A  N/A      2104      C   python3                                      N/A     |
+-----------------------------------------------------------------------------------------+
"""
WINDOWS = """\
| NVIDIA-SMI 610.43.02              KMD Version: 610.43.02     CUDA UMD Version: 13.3     |
|   0  NVIDIA GeForce RTX 5090      WDDM  |   00000000:01:00.0  On |                  N/A |
"""
QUERY = """\
==============NVSMI LOG==============
Driver Version                            : 535.104.05
CUDA Version                              : 12.2
Attached GPUs                             : 2
GPU 00000000:07:00.0
    Product Name                          : GRID T4-16Q
    Product Brand                         : NVIDIA Virtual Compute Server
GPU 00000000:08:00.0
    Product Name                          : Tesla V100-SXM2-32GB
    Product Brand                         : Tesla
"""


@pytest.mark.parametrize(
    ("text", "driver", "cuda", "capabilities"),
    [
        (TABLE, "550.54.15", "12.4", ["8.0", "8.9", ""]),
        (TABLE.replace("\n", "\r\n"), "550.54.15", "12.4", ["8.0", "8.9", ""]),
        ("$ nvidia-smi\n" + WINDOWS, "610.43.02", "13.3", ["12.0"]),
        (QUERY, "535.104.05", "12.2", ["7.5", "7.0"]),
    ],
)
def test_a_pasted_text_tells_driver_and_gpus(text: str, driver: str, cuda: str, capabilities: list[str]) -> None:
    told = machine_of_smi(text)
    assert (told.driver, told.driver_cuda) == (driver, cuda)
    assert [gpu.compute_capability for gpu in told.gpus] == capabilities


@pytest.mark.parametrize(
    ("text", "says"), [("", "no driver"), ("Driver Version: 550.54.15", "no GPU"), (QUERY[:99], "no GPU")]
)
def test_a_text_that_tells_too_little_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        machine_of_smi(text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.lists(st.sampled_from([*TABLE.splitlines(), *QUERY.splitlines()])).map("\n".join))
def test_any_text_is_a_machine_or_a_sentence(text: str) -> None:
    try:
        told = machine_of_smi(text)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert told.driver and told.gpus


def check(*argv: str, text: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gpuctl", "check", *argv]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, cwd=ROOT)


def test_check_takes_a_pasted_text_from_a_file_and_from_standard_input(tmp_path: Path) -> None:
    pasted = tmp_path / "smi.txt"
    pasted.write_text(QUERY)
    assert check("--smi", str(pasted), "--cuda", "12.2", text="").returncode == 0
    done = check("--smi", "-", "--cuda", "13.0", text=QUERY)
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, "incompatible  CUDA 13.0 on driver 535.104.05")
    assert check("--smi", "-", "--cuda", "12.2", text=TABLE).returncode == 3


@pytest.mark.parametrize(
    "argv",
    [("--smi", "-"), ("--smi", "/nonexistent"), ("--smi", str(ROOT / "README.md")), ("--smi", "-", "--gpu", "T4")],
)
def test_what_is_no_text_of_nvidia_smi_is_one_sentence(argv: tuple[str, ...]) -> None:
    done = check(*argv, "--cuda", "12.2", text="")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("Error: ") == 1 and "Traceback" not in done.stderr
