"""`gpuctl recommend`: the driver to install, its kernel module, its commands, and when there is none."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hosts import shown
from hypothesis import given, settings
from hypothesis import strategies as st
from simhost import SimHost, warm

from gpuctl.compat.answer.answer import check_cuda
from gpuctl.compat.answer.driver_choice import driver_floors
from gpuctl.compat.answer.recommendation import Advice, Recommendation, recommend
from gpuctl.compat.ask.question import Machine
from gpuctl.compat.judge.named import gpus_beside
from gpuctl.compat.judge.rulings import resolve_cuda
from gpuctl.compat.knowledge.gpus.gpus import Gpu, find_gpu, gpu_of_every_kind
from gpuctl.compat.knowledge.install_commands import PackageHost, compiler_note, driver_commands, open_modules_only
from gpuctl.compat.tables.loader import cuda_versions
from gpuctl.model import Verdict

ROOT = Path(__file__).parents[1]
NOW = "2026-11"
UBUNTU = PackageHost("apt", "ubuntu", "22.04", "5.15.0-1", "x86_64", root=False)


def ask(cuda: str | None, *gpus: str, driver: str | None = None, open_module: bool | None = None) -> Recommendation:
    return recommend(cuda, Machine(driver, tuple(find_gpu(gpu) for gpu in gpus), open_module), NOW)


def reasons(found: Recommendation) -> list[str]:
    return [reason.id for reason in found.reasons]


# What to install


@pytest.mark.parametrize(
    ("cuda", "gpu", "branch", "lowest", "below", "open_module", "image"),
    [
        ("12.4", "V100", "580", "550.54.14", "590", "no", "nvidia/cuda:12.4.1-base-ubuntu22.04"),
        ("12.4", "A100", "580", "550.54.14", None, "optional", "nvidia/cuda:12.4.1-base-ubuntu22.04"),
        ("12.8", "RTX 5090", "580", "570.26", None, "required", "nvidia/cuda:12.8.1-base-ubuntu24.04"),
        ("13.2", "H100", "620", "595.45.04", None, "only", "nvidia/cuda:13.2.1-base-ubuntu24.04"),
        ("13.5", "H100", "620", "620", None, "only", None),
        ("11.4", "K80", "470", "470.42.01", "495", "no", "nvidia/cuda:11.4.3-base-ubuntu20.04"),
        (None, "V100", "580", None, "590", "no", "nvidia/cuda:12.9.1-base-ubuntu24.04"),
    ],
)
def test_branch_driver_module_and_image(
    cuda: str | None, gpu: str, branch: str, lowest: str | None, below: str | None, open_module: str, image: str | None
) -> None:
    found = ask(cuda, gpu)
    assert (found.answer, found.choice is not None) == (Advice.INSTALL, True)
    assert found.choice is not None
    assert found.choice.branch is not None
    assert (found.choice.branch.branch, found.choice.lowest, found.choice.below) == (branch, lowest, below)
    assert (found.open_module, found.image) == (open_module, image)


def test_where_nvidia_supports_no_branch_it_says_so_and_names_the_last() -> None:
    found = ask("11.4", "K80")
    assert "driver.branch-ended" in reasons(found)
    assert found.choice is not None
    assert not found.choice.supported
    assert "branch 470 was the last" in (found.remedy.text if found.remedy else "")


# What is there already


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        (
            "GT 710",
            Advice.UNKNOWN,
            ("(GF119): install a driver of branch 390", "branch 470"),
        ),
        (
            "GT 1030",
            Advice.UNKNOWN,
            ("branch 470", "(GP108): install a driver of branch 580"),
        ),
        ("TITAN X", Advice.INSTALL, ("Branch 580",)),
    ],
)
def test_chips_that_take_different_drivers_are_told_each(name: str, answer: Advice, said: tuple[str, ...]) -> None:
    found = recommend(None, Machine(None, gpus_beside((), name)), NOW)
    assert found.answer is answer and [gpu.name for gpu in found.gpus] == [name]
    assert all(any(part in one.message for one in found.reasons) for part in said)
    assert (found.choice is None) == (answer is Advice.UNKNOWN)


def test_a_present_driver_that_runs_it_is_kept() -> None:
    found = ask("12.2", "A100", driver="535.161.08")
    assert (found.answer, found.remedy, found.verdict) == (Advice.KEEP, None, Verdict.COMPATIBLE)
    assert reasons(found) == ["driver.table-row", "driver.branch-ended"]
    assert found.image == "nvidia/cuda:12.2.2-base-ubuntu22.04"


def test_a_present_driver_that_runs_it_with_limits_is_kept_only_where_none_does_better() -> None:
    better = ask("12.4", "A100", driver="535.161.08")
    assert (better.answer, better.verdict) == (Advice.INSTALL, Verdict.LIMITED)
    assert better.remedy is not None
    assert better.remedy.text.startswith("Upgrade the driver to 550.54.14 or newer")
    best = ask("11.0", "RTX 3090", driver="460.27.03")
    assert (best.answer, best.verdict) == (Advice.KEEP, Verdict.LIMITED)


def test_without_a_cuda_version_a_driver_is_kept_while_nvidia_supports_its_branch() -> None:
    assert ask(None, "T4", driver="580.95.05").answer == Advice.KEEP
    assert ask(None, "T4", driver="470.256.02").answer == Advice.INSTALL
    assert ask(None, "K80", driver="470.256.02").answer == Advice.KEEP
    assert ask(None, "V100", driver="590.48.01").answer == Advice.INSTALL


def test_a_kernel_module_of_the_wrong_kind_will_not_do() -> None:
    found = ask("12.8", "RTX 5090", driver="580.95.05", open_module=False)
    assert found.answer == Advice.INSTALL
    assert {"driver.proprietary-module", "driver.kernel-module"} <= set(reasons(found))


# When none would do


def test_cuda_13_on_a_v100_names_the_newest_cuda_that_it_can_run() -> None:
    found = ask("13.0", "V100")
    assert (found.answer, found.newest_cuda) == (Advice.NONE, "12.9")
    assert reasons(found) == ["gpu.dropped-by-toolkit"]
    assert found.remedy is not None
    assert shown(found.remedy) == ("gpuctl image --cuda 12.9",)


def test_gpus_that_exclude_each_other_are_named_with_what_each_needs() -> None:
    modules = ask("12.8", "V100", "RTX 5090")
    assert (modules.answer, reasons(modules)) == (Advice.NONE, ["driver.modules-exclude"])
    assert "Tesla V100" in modules.reasons[0].message
    assert "GeForce RTX 5090" in modules.reasons[0].message
    branches = ask(None, "K80", "H100")
    assert [reason.message for reason in branches.reasons] == [
        "Tesla K80 (Kepler) is driven up to branch 470.",
        "H100 (Hopper) is driven from branch 520 on.",
    ]


@pytest.mark.parametrize(("cuda", "gpu"), [("13.9", "H100"), ("12.7", "H100"), (None, "Jetson AGX Orin")])
def test_what_the_tables_do_not_know_is_unknown(cuda: str | None, gpu: str) -> None:
    found = ask(cuda, gpu)
    assert (found.answer, found.choice) == (Advice.UNKNOWN, None)
    assert found.reasons


gpus = st.lists(st.sampled_from(gpu_of_every_kind()), min_size=1, max_size=3).map(tuple)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(cuda_versions()), gpus)
def test_what_is_recommended_runs_it_and_none_means_that_no_driver_does(cuda: str, gpus: tuple[Gpu, ...]) -> None:
    found = recommend(cuda, Machine(None, gpus), NOW)
    serving = {Verdict.COMPATIBLE, Verdict.LIMITED}
    if found.answer == Advice.NONE:
        assert not serving & driver_floors(resolve_cuda(cuda), gpus).keys()
        assert found.reasons
        return
    assert found.choice is not None
    assert found.choice.branch is not None
    branch = found.choice.branch
    assert check_cuda(cuda, f"{found.choice.lowest or 0}.0", gpus).verdict in serving
    assert check_cuda(cuda, branch.newest_version or f"{branch.branch}.0", gpus).verdict in serving
    assert recommend(cuda, Machine(f"{found.choice.lowest}.0", gpus), NOW).answer == Advice.KEEP


# The commands


def test_the_commands_stay_on_the_branch_where_the_package_manager_can() -> None:
    commands = driver_commands([find_gpu("A100")], UBUNTU, "580")
    assert tuple(map(str, commands))[2:4] == (
        "sudo apt-get install -y nvidia-driver-pinning-580",
        "sudo apt-get install -y linux-headers-5.15.0-1 nvidia-open",
    )
    rocky = PackageHost("dnf", "rocky", "9.4", "5.14.0-1", "x86_64", root=True)
    commands = [str(one).removeprefix("sudo ") for one in driver_commands([find_gpu("A100")], rocky, "580")]
    # dnf refuses to enable a stream where another one is: https://docs.fedoraproject.org/en-US/modularity/
    reset = commands.index("dnf module reset -y nvidia-driver")
    assert commands[reset + 1] == "dnf module enable -y nvidia-driver:580-open"
    ten = PackageHost("dnf", "rocky", "10.0", "6.12.0-1", "x86_64", root=True)
    assert "dnf versionlock add '*nvidia*580*'" in map(str, driver_commands([find_gpu("A100")], ten, "580"))
    leap = PackageHost("zypper", "opensuse-leap", "15.6", "6.4.0-1", "x86_64", root=True)
    assert not [command for command in driver_commands([find_gpu("A100")], leap, "580") if "580" in str(command)]


def test_no_commands_are_better_than_wrong_ones() -> None:
    arch = PackageHost("pacman", "arch", "", "6.18.2-arch2-1", "x86_64", root=True)
    assert driver_commands([find_gpu("A100")], arch)
    assert driver_commands([find_gpu("V100")], arch) == ()
    assert driver_commands([find_gpu("V100"), find_gpu("RTX 5090")], UBUNTU) == ()


def on(distribution: str, version: str, kernel: str = "5.14.0-1") -> PackageHost:
    return PackageHost("dnf", distribution, version, kernel, "x86_64", root=True)


@pytest.mark.parametrize(
    ("host", "gpu", "said"),
    [
        (on("amzn", "2023", "6.1.1-1.amzn2023"), "A100", ("module enable -y nvidia-driver:580-open", "nvidia-open")),
        (on("rocky", "9.4"), "V100", ("module enable -y nvidia-driver:580-dkms", "5.14.0-1 cuda-drivers")),
        (on("rhel", "8.10", "4.18.0-1"), "GeForce GTX 1080", ("nvidia-driver:580-dkms", "4.18.0-1 cuda-drivers")),
        (on("ol", "9.6"), "Tesla P100", ("nvidia-driver:580-dkms", "kernel-devel-5.14.0-1 cuda-drivers")),
        (on("ol", "9.6", "6.12.0-1.el9uek"), "V100", ("nvidia-driver:580-dkms", "kernel-uek-devel-6.12.0")),
        (on("amzn", "2023", "6.1.1-1.amzn2023"), "V100", ("nvidia-driver:580-dkms", "cuda-drivers")),
        (on("almalinux", "10.0", "6.12.0-1"), "V100", ("versionlock add '*nvidia*580*'", "cuda-drivers")),
        (on("rocky", "8.10", "4.18.0-1"), "A100", ("dnf install -y epel-release", "nvidia-open")),
        (on("ol", "9.6"), "A100", ("oracle-epel-release-el9", "nvidia-open")),
        (
            on("rhel", "10.1", "6.12.0-1"),
            "A100",
            ("codeready-builder-for-rhel-10-x86_64-rpms", "epel-release-latest-10.no"),
        ),
        (
            on("fedora", "44", "7.0.1-300.fc44"),
            "A100",
            ("cuda-fedora44", "versionlock add '*nvidia*580*'", "nvidia-open"),
        ),
    ],
)
def test_packages_come_from_the_stream_of_their_branch_and_module(
    host: PackageHost, gpu: str, said: tuple[str, ...]
) -> None:
    commands = tuple(map(str, driver_commands([find_gpu(gpu)], host, "580")))
    assert all(any(words in command for command in commands) for words in said), commands


def test_dkms_is_to_be_told_of_the_compiler_that_built_a_kernel_of_oracles() -> None:
    def told(host: PackageHost) -> bool:
        return "gcc-toolset-14" in (compiler_note(host) or "")

    assert told(on("ol", "9.6", "6.12.0-100.28.2.2.el9uek.x86_64"))
    assert not told(on("ol", "9.6", "5.15.0-300.el9uek.x86_64"))
    assert not told(on("rocky", "10.0", "6.12.0-55.el10.x86_64"))


def test_where_only_open_modules_are_packaged_an_older_gpu_gets_no_commands() -> None:
    assert driver_commands([find_gpu("V100")], on("azurelinux", "3.0", "6.6.1-1.azl3"), "580") == ()
    assert open_modules_only([find_gpu("GTX 1080")], on("mariner", "2.0"))
    assert not open_modules_only([find_gpu("T4")], on("azurelinux", "3.0"))
    assert not open_modules_only([find_gpu("V100")], on("rocky", "9.4"))


@pytest.mark.parametrize(
    ("cuda", "gpu", "module"),
    [("13.5", "T4", "only"), ("13.5", "A100", "only"), ("13.5", "B200", "required"), ("12.4", "T4", "optional")],
)
def test_a_branch_with_one_module_leaves_no_choice(cuda: str, gpu: str, module: str) -> None:
    found = recommend(cuda, Machine(None, (find_gpu(gpu),)), NOW)
    assert found.open_module == module
    said = " ".join(reason.message for reason in found.reasons)
    assert ("branch 620 has no other" in said, "Either kernel module" in said) == (
        module == "only",
        module == "optional",
    )


# The command


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return warm.gpuctl("recommend", *argv)


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("--cuda", "12.4", "--gpu", "V100", "--driver", "418.87"), 0),
        (("--cuda", "12.4", "--gpu", "V100", "--driver", "580.95.05"), 0),
        (("--cuda", "13.0", "--gpu", "V100", "--driver", "580.95.05"), 1),
        (("--cuda", "13.9", "--gpu", "V100", "--driver", "580.95.05"), 3),
        (("--cuda", "banana", "--gpu", "V100"), 2),
        (("--gpu", "Voodoo 2"), 2),
        (("--driver", "5", "--gpu", "V100"), 2),
    ],
)
def test_the_answer_decides_the_exit_code(argv: tuple[str, ...], code: int) -> None:
    assert run(*argv).returncode == code


def test_a_host_without_a_driver_is_known_by_its_bus(sim_host: Callable[..., SimHost]) -> None:
    done = sim_host("no-driver", userland=False).gpuctl("recommend", "--cuda", "12.4", "--json")
    assert (done.code, done.json["answer"], done.json["present_driver"]) == (0, "install", None)
    assert [gpu["name"] for gpu in done.json["gpus"]] == ["Tesla V100 SXM2 32GB"]
    assert any("cuda-drivers-580" in command for command in done.json["remedy"]["commands"])


def test_the_driver_of_this_host_is_kept_if_it_will_do(sim_host: Callable[..., SimHost]) -> None:
    host = sim_host("v100")
    assert host.gpuctl("recommend", "--cuda", "10.1", "--json").json["answer"] == "keep"
    assert host.gpuctl("recommend", "--cuda", "12.4", "--json").json["answer"] == "install"


def test_a_distribution_that_the_table_does_not_know_gets_no_commands_and_is_told(
    sim_host: Callable[..., SimHost],
) -> None:
    release = 'ID=plan9\nNAME="Plan \x1b[31m9"\nVERSION_ID=4\n'
    done = sim_host("v100", files={"/etc/os-release": release}).gpuctl("recommend", "--cuda", "12.4")
    assert done.code == 0
    assert "gpuctl knows no commands that install it on Plan" in done.out
    assert "$ " not in done.out
    assert "\x1b" not in done.out


def test_a_gpu_that_does_not_answer_is_known_by_its_bus_too(sim_host: Callable[..., SimHost]) -> None:
    done = sim_host("hang").gpuctl("recommend", "--cuda", "12.4", "--json", timeout=300)
    assert (done.code, done.json["answer"], done.json["present_driver"]) == (0, "install", "418.87.00")


def test_of_a_distribution_without_support_it_is_said_that_the_package_may_be_gone() -> None:
    debian_10 = ROOT / "tests" / "snapshots" / "v100-418.jsonl"
    said = json.loads(warm.gpuctl("recommend", "--from", str(debian_10), "--json").stdout)
    (told,) = (one["message"] for one in said["reasons"] if one["id"] == "driver.package-may-be-gone")
    assert "no support since 2024-06" in told
