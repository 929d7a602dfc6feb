"""What the kernel logs of a GPU is told of that GPU, and what it logs of others, or now and then, is not."""

from __future__ import annotations

import pytest
from hosts_v100 import NVML, v100

from gpuctl.checks.engine import ask
from gpuctl.checks.every import CHECKS
from gpuctl.facts.gather import gather
from gpuctl.model import Status

NONE = [NVML[0] | {"count": 0}]


def status(id: str, log: str, nvml: list[dict[str, object]] = NVML) -> Status:
    return ask(CHECKS[id], gather(v100(nvml=nvml, commands={"dmesg": log}))).status


@pytest.mark.parametrize(
    "line",
    [
        "pci 0000:3b:00.0: BAR 1: no space for [mem size 0x400000000 64bit pref]",
        "pci 0000:3b:00.0: BAR 1: failed to assign [mem size 0x400000000 64bit pref]",
        "pci 0000:3b:00.0: BAR 1 [mem size 0x400000000 64bit pref]: can't assign; no space",
        "NVRM: BAR1 is 0M @ 0x0 (PCI:0000:3b:00.0)",
    ],
)
def test_a_gpu_without_room_on_the_bus_fails_where_it_does_not_answer(line: str) -> None:
    assert status("kernel.pci-resources", f"[    1.0] {line}\n", NONE) is Status.FAIL
    assert status("kernel.pci-resources", f"[    1.0] {line}\n") is Status.PASS
    assert status("kernel.pci-resources", f"[    1.0] {line.replace('3b:00', '3c:00')}\n", NONE) is Status.PASS


@pytest.mark.parametrize(
    ("line", "times", "found"),
    [
        ("pcieport 0000:3a:00.0: AER: Uncorrected (Fatal) error received: 0000:3b:00.0", 1, Status.WARN),
        (
            "pcieport 0000:3a:00.0: AER: Uncorrectable (Non-Fatal) error message received from 0000:3b:00.0",
            1,
            Status.WARN,
        ),
        (
            "nvidia 0000:3b:00.0: PCIe Bus Error: severity=Corrected, type=Physical Layer, (Receiver ID)",
            40,
            Status.WARN,
        ),
        ("nvidia 0000:3b:00.0: PCIe Bus Error: severity=Corrected, type=Physical Layer, (Receiver ID)", 2, Status.PASS),
        ("nvme 0000:5e:00.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction Layer", 40, Status.PASS),
        ("nvme 0001:3b:00.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction Layer", 40, Status.PASS),
    ],
)
def test_a_gpus_link_is_told_by_what_is_lost_and_by_what_is_corrected_often(
    line: str, times: int, found: Status
) -> None:
    assert status("hardware.link-errors", f"[    9.0] {line}\n" * times) is found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("DMAR: [DMA Read NO_PASID] Request device [3b:00.0] fault addr 0xfe000000 [fault reason 0x06]", Status.WARN),
        ("nvidia 0000:3b:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000e address=0xe0000000]", Status.WARN),
        ("DMAR: [DMA Write] Request device [13b:00.0] fault addr 0xfe000000", Status.PASS),
        ("xhci_hcd 0000:02:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0009 address=0x0]", Status.PASS),
    ],
)
def test_a_refused_transfer_is_told_of_the_gpu_whose_it_is(line: str, found: Status) -> None:
    assert status("kernel.iommu-faults", f"[    9.0] {line}\n") is found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [nvidia-smi:4711]", Status.WARN),
        ("INFO: task nv_queue:1203 blocked for more than 122 seconds.", Status.WARN),
        ("INFO: task kworker/3:1:77 blocked for more than 122 seconds.", Status.PASS),
        ("watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [stress:4711]", Status.PASS),
    ],
)
def test_a_call_that_hangs_is_told_where_it_is_the_drivers(line: str, found: Status) -> None:
    assert status("kernel.driver-hangs", f"[  240.0] {line}\n") is found


def test_a_switchs_fatal_error_asks_for_a_reset_and_another_one_for_nothing() -> None:
    fatal = "nvidia-nvswitch3: SXid (PCI:0000:4a:00.0): 20034, Fatal, Link 30 LTSSM Fault Up"
    passing = (
        "nvidia-nvswitch0: SXid (PCI:0000:c4:00.0): 12028, Non-fatal, Link 32 egress non-posted PRIV error (First)"
    )
    found = ask(CHECKS["driver.nvswitch-errors"], gather(v100(commands={"dmesg": f"[9.0] {fatal}\n[9.1] {passing}\n"})))
    assert found.message == "The NVSwitch 0000:4a:00.0 reported a fatal error 20034: Link 30 LTSSM Fault Up."
    assert found.remedy and found.remedy.commands
    other = ask(CHECKS["driver.nvswitch-errors"], gather(v100(commands={"dmesg": f"[9.1] {passing}\n"})))
    assert (other.status, other.remedy and other.remedy.commands) == (Status.WARN, ())
