"""Names that nvidia-smi prints, and what it prints as a whole, as people paste it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simhost import warm

from gpuctl.compat.answer.answer import check_cuda
from gpuctl.compat.answer.fleet_rows import host_verdicts
from gpuctl.compat.ask.question import Question
from gpuctl.compat.ask.smi import machine_of_smi
from gpuctl.compat.knowledge.gpus.gpus import find_gpu, gpu_described, gpu_of_nvml
from gpuctl.compat.knowledge.gpus.names import capability_named, one_of
from gpuctl.compat.tables.loader import pci_devices, products
from gpuctl.compat.versions import driver_number
from gpuctl.model import Verdict

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
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "8.0", "nvidia"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb+me", "9.0", "nvidia"),
        ("NVIDIA H100 80GB HBM3 MIG 1c.3g.40gb", "9.0", "nvidia"),
        ("NVIDIA Thor", "11.0", None),
        ("Orin (nvgpu)", "8.7", None),
        ("GeForce GTX 108...", "6.1", "geforce"),
        ("NVIDIA GeForce RTX 408...", "8.9", "geforce"),
        ("NVIDIA RTX A600...", "8.6", "nvidiartx"),
        ("NVIDIA RTX 6000...", "8.9", "nvidiartx"),
        ("NVIDIA H100 80GB HB...", "9.0", "nvidia"),
    ],
)
def test_a_name_that_nvidia_smi_prints_is_the_board_behind_it(name: str, capability: str, brand: str | None) -> None:
    assert (find_gpu(name).compute_capability, find_gpu(name).brand) == (capability, brand)
    told = gpu_described(name, capability)
    assert (told.name, told.brand) == (name, brand)
    assert gpu_of_nvml(name, None, None).compute_capability in (capability, "")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("2 x RTX A6000", "RTX A6000"),
        ("8x H100 SXM", "H100 SXM"),
        ("8 \N{MULTIPLICATION SIGN} A100-SXM4-80GB", "A100-SXM4-80GB"),  # as gpuctl itself prints it
        ("4xL40S", "L40S"),
        ("2x1080ti", "1080ti"),
        ("4x GA102", "GA102"),
        ("A100 x 8", "A100"),
        ("A100-SXM4-40GB (x8)", "A100-SXM4-40GB"),
        ("gpu:a100:4", "a100"),
        ("gpu:tesla_v100-sxm2-32gb:8(S:0-1)", "tesla_v100-sxm2-32gb"),
        ("gres/gpu:a100=4", "a100"),
        ("sm_89", "8.9"),
        ("sm_90a", "9.0"),
        ("compute_120", "12.0"),
        ("CC 8.6", "8.6"),
        ("NVIDIA A800 40GB Active", "A800 40GB Active"),
    ],
)
def test_a_name_is_read_as_inventories_schedulers_and_compilers_write_it(written: str, name: str) -> None:
    one, other = find_gpu(written), find_gpu(name)
    assert (one.compute_capability, one.architecture) == (other.compute_capability, other.architecture)
    assert gpu_described(written, "").compute_capability == other.compute_capability


def test_the_name_of_a_pci_device_is_never_taken_for_a_gpu_of_another_kind() -> None:
    """Quadro 5000 is of 2010, and Quadro RTX 5000 of 2018."""
    kinds: dict[str, set[str]] = {}
    for row in pci_devices():
        kinds.setdefault(row.product, set()).add(row.compute_capability or "")
    taken: dict[str, str] = {}
    for name in kinds:
        with suppress(ValueError):
            taken[name] = find_gpu(name).compute_capability
    assert {name: one for name, one in taken.items() if one not in kinds[name]} == {}
    assert len(taken) > len(kinds) * 0.9


def test_no_products_own_name_is_taken_for_a_count_or_a_compilers_option() -> None:
    names = [one.product for one in products()] + [alias for one in products() for alias in one.aliases]
    for name in (*names, *(one.product for one in pci_devices()), "0x2204", "10de:2204"):
        assert one_of(name) == name and capability_named(name) is None


@pytest.mark.parametrize(
    ("written", "driver"),
    [
        ("535.183.01-0ubuntu0.22.04.1", "535.183.01"),
        ("3:535.183.01-1.el9", "535.183.01"),
        ("580.95.05-1.fc43", "580.95.05"),
        ("550.163.01-2~deb12u1", "550.163.01"),
        ("535.129.03-v1.7.0", "535.129.03"),  # a system extension of Talos
        (" 535.183.01 ", "535.183.01"),
        ("535", "535"),
        ("535.161.08-server", "535.161.08"),
        ("R535", "535"),
        ("v550.54.15", "550.54.15"),
        ("535-server", "535"),
        ("nvidia-driver-535", "535"),
        ("nvidia-headless-550-server-open", "550"),
        ("cuda-drivers-550", "550"),
        ("nvidia:570-open", "570"),
        ("NVIDIA-Linux-x86_64-535.183.01.run", "535.183.01"),
        ("535.183.01-custom", "535.183.01-custom"),  # whatever that is
        ("cuda-12.4", "cuda-12.4"),
        ("nvidia-driver-latest", "nvidia-driver-latest"),
    ],
)
def test_a_driver_is_read_as_package_managers_write_it(written: str, driver: str) -> None:
    assert driver_number(written) == driver
    rows = [b"driver,gpu,cuda\n", f"{written},T4,12.2\n".encode()]
    (told,) = host_verdicts(rows, Question())
    if driver[0].isdigit() and driver[-1].isdigit():
        assert told.kind.row.driver == driver and told.kind.said.error is None
        asked = warm.gpuctl("check", "--cuda", "12.2", "--gpu", "T4", "--driver", written, "--json")
        assert json.loads(asked.stdout)["driver"].split(".")[0] == driver.split(".")[0]


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
# As people pasted them, shortened, by generation: https://github.com/microsoft/WSL/issues/9134 (517),
# https://github.com/microsoft/WSL/issues/11277 (555), https://github.com/NordicHPC/sonar/issues/247 (MIG, 570),
# https://github.com/NVIDIA/nvidia-docker/issues/688 (375), …/954 (396), …/1316 (Azure's bus ids), …/1604 (510, WSL),
# https://github.com/selkies-project/docker-selkies-glx-desktop/issues/22 (555, its list of versions).
R340 = """\
\t+------------------------------------------------------+
\t| NVIDIA-SMI 340.46     Driver Version: 340.46         |
\t|-------------------------------+----------------------+----------------------+
\t| GPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC |
\t|===============================+======================+======================|
\t|   0  GRID K520           Off  | 0000:00:03.0     Off |                  N/A |
\t| N/A   32C    P0     0W / 125W |     10MiB /  4095MiB |      0%      Default |
"""
JOINED = (
    "| NVIDIA-SMI 340.104    Driver Version: 340.104        | |-----+-----| | GPU  Name        Persistence-M| Bus-Id "
    "| |=====| |   0  GeForce GTX 580     Off  | 0000:01:00.0     N/A |                  N/A | | 40%   46C   P12    "
    "N/A / N/A |    226MiB /   895MiB |     N/A      Default | |   1  Tesla K40m          Off  | 0000:82:00.0     Off |"
)
R375 = """\
Driver Version                      : 375.82
Attached GPUs                       : 1
GPU 0000:01:00.0
    Product Name                    : Quadro M1000M
    Product Brand                   : Quadro
"""
R517 = """\
> | NVIDIA-SMI 517.48       Driver Version: 517.48       CUDA Version: 11.7     |
> |   0  NVIDIA GeForce ... WDDM  | 00000000:0A:00.0  On |                  N/A |
> |   1  NVIDIA GeForce RTX 3080 WDDM  | 00000000:43:00.0  On |                  N/A |
"""
R570_MIG = """\
| NVIDIA-SMI 570.124.06             Driver Version: 570.124.06     CUDA Version: 12.8     |
|   0  NVIDIA H100 PCIe               On  |   00000000:C1:00.0 Off |                   On |
| N/A   36C    P0             50W /  310W |      88MiB /  81559MiB |     N/A      Default |
|                                         |                        |              Enabled |
| MIG devices:                                                                            |
| GPU  GI  CI  MIG |              Shared Memory-Usage |        Vol|        Shared           |
|  0    1   0   0  |              44MiB / 40448MiB    | 60      0 |  3   0    3    0    3   |
|                  |               0MiB / 65535MiB    |           |                         |
"""
ERR = """\
| NVIDIA-SMI 610.43.02              KMD Version: 610.43.02     CUDA UMD Version: ERR!     |
|   0  NVIDIA GeForce RTX 2080 ...    Off |   00000000:17:00.0 Off |                  N/A |
|ERR!   41C    P8             N/A /  N/A  |       1MiB /   8192MiB |      0%      Default |
|   1  NVIDIA RTX A4000              ERR! |   00000000:65:00.0 ERR! |                ERR! |
"""
LOST = """\
Driver Version                            : 550.54.15
Unable to determine the device handle for GPU0000:BA:00.0: Unknown Error
GPU 00000000:17:00.0
    Product Name                          : NVIDIA L4
"""
VGPU = """\
Driver Version                            : 535.129.03
CUDA Version                              : 12.2
Attached vGPUs                            : 1
GPU 00000000:02:00.0
    Product Name                          : GRID V100D-8C
    Product Brand                         : NVIDIA Virtual Compute Server
    vGPU Software Licensed Product
        Product Name                      : NVIDIA Virtual Compute Server
        License Status                    : Licensed (Expiry: 2027-1-31 11:32:22 GMT)
GPU 00000000:03:00.0
    Product Name                          : NVIDIA A16-8Q
    Product Brand                         : NVIDIA RTX Virtual Workstation
    vGPU Software Licensed Product
        Product Name                      : NVIDIA RTX Virtual Workstation
"""
LISTS = """\
$ nvidia-smi --version
NVIDIA-SMI version  : 555.42.03
NVML version        : 555.42
DRIVER version      : 555.85
CUDA Version        : 12.5
$ nvidia-smi -L
GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-7fdaf0a5-0000-0000-0000-000000000000)
  MIG 1g.10gb     Device  0: (UUID: MIG-feb88891-0000-0000-0000-000000000000)
GPU 1: Quadro RTX 4000 (UUID: GPU-c7b57be0-0000-0000-0000-000000000000)
"""
ORIN = """\
| NVIDIA-SMI 540.4.0                Driver Version: 540.4.0      CUDA Version: 12.6     |
|-----------------------------------------+----------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id        Disp.A | Volatile Uncorr. ECC |
|   0  Orin (nvgpu)                  N/A  | N/A              N/A |                  N/A |
"""
XML = """\
<?xml version="1.0" ?>
<nvidia_smi_log>
\t<driver_version>535.216.01</driver_version>
\t<cuda_version>12.2</cuda_version>
\t<gpu id="00000000:07:00.0">
\t\t<product_name>GRID T4-16Q</product_name>
\t\t<product_brand>NVIDIA RTX Virtual Workstation</product_brand>
\t\t<vgpu_software_licensed_product>
\t\t\t<licensed_product_name>NVIDIA RTX Virtual Workstation</licensed_product_name>
\t\t\t<product_name>NVIDIA RTX Virtual Workstation</product_name>
\t\t</vgpu_software_licensed_product>
\t</gpu>
</nvidia_smi_log>
"""


@pytest.mark.parametrize(
    ("text", "driver", "cuda", "capabilities"),
    [
        (R340, "340.46", None, ["3.0"]),
        (JOINED, "340.104", None, ["2.0", "3.5"]),
        (R375, "375.82", None, ["5.0"]),
        (R517, "517.48", "11.7", ["", "8.6"]),
        (R570_MIG, "570.124.06", "12.8", ["9.0"]),
        (ERR, "610.43.02", None, ["7.5", "8.6"]),
        (LOST, "550.54.15", None, ["8.9", ""]),
        (VGPU, "535.129.03", "12.2", ["7.0", "8.6"]),
        (LISTS, "555.85", "12.5", ["8.0", "7.5"]),
        (XML, "535.216.01", "12.2", ["7.5"]),
        (TABLE, "550.54.15", "12.4", ["8.0", "8.9", ""]),
        (TABLE.replace("\n", "\r\n"), "550.54.15", "12.4", ["8.0", "8.9", ""]),
        ("$ nvidia-smi\n" + WINDOWS, "610.43.02", "13.3", ["12.0"]),
        (QUERY, "535.104.05", "12.2", ["7.5", "7.0"]),
        (ORIN, "36.4", "12.6", ["8.7"]),
        (ORIN.replace("540.4.0", "540.5.0"), "36.5", "12.6", ["8.7"]),
        (ORIN.replace("540.4.0", "540.9.0"), "540.9.0", "12.6", ["8.7"]),
        (ORIN.replace("Orin (nvgpu)", "NVIDIA A100 "), "540.4.0", "12.6", ["8.0"]),
    ],
)
def test_a_pasted_text_tells_driver_and_gpus(text: str, driver: str, cuda: str, capabilities: list[str]) -> None:
    told = machine_of_smi(text)
    assert (told.driver, told.driver_cuda) == (driver, cuda)
    assert [gpu.compute_capability for gpu in told.gpus] == capabilities


def test_a_jetsons_table_names_no_board_and_is_judged_by_its_jetson_linux() -> None:
    (gpu,) = machine_of_smi(ORIN).gpus
    assert gpu.name == "Orin (nvgpu)"
    assert check_cuda("12.6", "36.4", (gpu,)).verdict is Verdict.COMPATIBLE


def test_a_list_of_gpus_is_read_with_the_driver_that_is_said_beside_it() -> None:
    listed = "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1)\nGPU 1: Tesla T4 (UUID: GPU-2)\n"
    told = machine_of_smi(listed, "550.54.15")
    assert told.driver == "550.54.15" and [gpu.compute_capability for gpu in told.gpus] == ["8.0", "7.5"]
    with pytest.raises(ValueError, match="it tells the driver"):
        machine_of_smi(TABLE, "550.54.15")
    with pytest.raises(ValueError, match="names no GPU"):
        machine_of_smi("nothing of that", "550.54.15")


@pytest.mark.parametrize(
    ("text", "says"), [("", "no driver"), ("Driver Version: 550.54.15", "no GPU"), (QUERY[:99], "no GPU")]
)
def test_a_text_that_tells_too_little_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        machine_of_smi(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", "gpuctl explain"),
        ("Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 550.54\n", "explain"),
        ("Failed to initialize NVML: Unknown Error\n", "gpuctl explain"),
        ("$ nvidia-smi\r\nNo devices were found\r\n", "gpuctl explain"),
        ("bash: nvidia-smi: command not found", "gpuctl explain"),
        ("NVIDIA-SMI couldn't find libnvidia-ml.so library in your system.", "gpuctl explain"),
        ("GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1)\nGPU 1: Tesla T4 (UUID: GPU-2)\n", "without -L"),
        ("nvidia-smi is what I ran", "give the table"),
    ],
)
def test_a_text_without_a_driver_says_what_to_do_with_it(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"driver.*{says}"):
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
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=300, cwd=ROOT)


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


def test_the_csv_of_nvidia_smi_is_sent_where_csv_is_read() -> None:
    with pytest.raises(ValueError, match="--hosts"):
        machine_of_smi("name, driver_version\nTesla T4, 550.54.15\n")
