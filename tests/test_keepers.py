"""Whose driver it is: each keeper is known by its signs, and no remedy puts another's driver over it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import pytest
from hosts import PCI, failed, host, shown
from synthetic import (
    DRIVER_580,
    HOSTS,
    NO_DRIVER,
    SMI,
    T4,
    UBUNTU_22,
    UBUNTU_24,
    Board,
    Machine,
    docker,
    driver,
    gpus,
    joined,
    system,
)

from gpuctl.checks.engine import ask
from gpuctl.checks.every import CHECKS, diagnose
from gpuctl.checks.questions.host_answer import SUBJECTS, host_answer
from gpuctl.checks.questions.host_recommendation import host_recommendation
from gpuctl.compat.answer.recommendation import Advice
from gpuctl.compat.ask.question import Machine as Described
from gpuctl.compat.ask.question import Question, typed_cuda
from gpuctl.compat.knowledge.gpus.gpus import gpu_of_nvml
from gpuctl.compat.knowledge.install_commands import last_branch
from gpuctl.compat.knowledge.keepers import NVIDIA, keepers, way_of
from gpuctl.facts.gather import gather
from gpuctl.facts.gpu.driver_packages import DPKG_DRIVER, RPM_DRIVER
from gpuctl.facts.gpu.keeper import Keeper
from gpuctl.host.record.snapshot import SnapshotHost
from gpuctl.model import Disturbs

KERNEL = "6.8.0-45-generic"
GTX_1080 = Board("NVIDIA GeForce GTX 1080", "1b80", "6.1", "geforce", 8)
K80 = Board("Tesla K80", "102d", "3.7", "tesla", 11)
B200 = Board("NVIDIA B200", "2901", "10.0", "nvidia", 180)
DRIVER_LAYERS = [id for id, check in CHECKS.items() if check.layer in ("kernel", "driver")]


def packages(command: tuple[str, ...], *rows: str) -> Machine:
    """What dpkg-query or rpm knows: "name version" each."""
    said = "".join("{}\t{}\tinstall\tinstalled\n".format(*row.split()) for row in rows)
    return {"commands": {shlex.join(command): said}}


def debs(*rows: str) -> Machine:
    return packages(DPKG_DRIVER, *rows)


def rpms(*rows: str, id: str = "fedora", manager: str = "dnf") -> Machine:
    return joined(release(id), packages(RPM_DRIVER, *rows), {"which": {manager: f"/usr/bin/{manager}"}})


def release(id: str, more: str = "") -> Machine:
    return {"files": {"/etc/os-release": f'ID={id}\nNAME="{id}"\nVERSION_ID="43"\n{more}'}}


def kernel(version: str) -> Machine:
    return {"files": {"/proc/sys/kernel/osrelease": version + "\n"}}


def virtual(name: str) -> Machine:
    return {"commands": {"systemd-detect-virt": name + "\n"}}


def there(path: str, **seen: Any) -> Machine:
    return {"stats": {path: seen}}


TEGRA = {"files": {"/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n"}}
SIGNS: Mapping[str, tuple[Machine, ...]] = {
    "alpine": (release("alpine"),),
    "arch": (release("arch"), release("cachyos", "ID_LIKE=arch\n")),
    "aws-dlami": (there("/opt/dlami", type="dir"),),
    "azure-extension": (there("/var/lib/waagent/Microsoft.HpcCompute.NvidiaGpuDriverLinux-1.10.0.0"),),
    "bottlerocket": (release("bottlerocket", "VARIANT_ID=aws-k8s-1.33-nvidia\n"),),
    "chromeos": (release("chromeos"),),
    "cos": (release("cos"), there("/var/lib/nvidia/bin", type="dir")),
    "debian": (joined(release("debian"), debs("nvidia-kernel-dkms 550.163.01-2", "nvidia-driver 550.163.01-2")),),
    "dgx-os": (there("/etc/dgx-release"),),
    "elrepo": (
        rpms("kmod-nvidia 550.142-1.el9_5.elrepo", "nvidia-x11-drv 550.142-1.el9_5.elrepo", id="rocky"),
        rpms("kmod-nvidia-470xx 470.256.02-1.el8_10.elrepo", id="almalinux"),
    ),
    "endless": (release("endless"),),
    "flatcar": (release("flatcar"),),
    "gcp-image": (there("/opt/deeplearning/install-driver.sh"), there("/opt/google/cuda-installer", type="dir")),
    "gentoo": (release("gentoo"),),
    "gke": (joined(release("cos"), there("/home/kubernetes/bin/nvidia", type="dir")),),
    "gpu-operator": (there("/run/nvidia/driver/usr/bin/nvidia-smi"),),
    "home-assistant": (release("haos"),),
    "host-of-container": (there("/.dockerenv"), virtual("podman")),
    "host-of-guest": (virtual("lxc"), {"files": {"/run/systemd/container": "lxc"}}),
    "hypervisor": (
        {"nvml": driver("", "580.95.05", "13.0", Board("NVIDIA A16-8C", "25b6", "8.6", "nvidia", 8))["nvml"]},
    ),
    "jetpack": (TEGRA,),
    "kali": (
        release("kali", "ID_LIKE=debian\n"),
        joined(
            release("kali", "ID_LIKE=debian\n"), debs("nvidia-kernel-dkms 550.163.01-2", "nvidia-driver 550.163.01-2")
        ),
    ),
    "manjaro": (release("manjaro", "ID_LIKE=arch\n"),),
    "microos": (release("opensuse-microos"), release("sle-micro")),
    "negativo17": (rpms("nvidia-driver 580.95.05-1.fc43", "dkms-nvidia 580.95.05-1.fc43"),),
    "nixos": (release("nixos"),),
    "nvidia-precompiled": (rpms("kmod-nvidia-open-580.95.05-5.14.0-611.5.1 580.95.05-3.el9_7", id="rhel"),),
    "nvidia-repository": (
        debs("nvidia-open 580.95.05-0ubuntu1", "nvidia-dkms-580-open 580.95.05-0ubuntu1"),
        debs("cuda-drivers 580.95.05-1ubuntu1"),
    ),
    "ostree": (
        there("/run/ostree-booted"),
        joined(release("fedora", "VARIANT_ID=coreos\n"), there("/run/ostree-booted")),
    ),
    "pop": (release("pop", 'ID_LIKE="ubuntu debian"\n'),),
    "rpm-fusion": (rpms("akmod-nvidia 580.95.05-1.fc43", "xorg-x11-drv-nvidia-cuda 580.95.05-1.fc43"),),
    "run-file": (there("/usr/bin/nvidia-uninstall", mode=0o755),),
    "slackware": (release("slackware"),),
    "steamos": (release("steamos", "ID_LIKE=arch\n"),),
    "suse-modules": (
        joined(
            rpms("nvidia-open-driver-G07-signed-kmp-longterm 595.58.03_k6.18.21_1-1", manager="zypper"),
            release("opensuse-tumbleweed", "ID_LIKE=suse\n"),
        ),
        joined(
            rpms("nvidia-open-driver-G06-signed-kmp-default 580.95.05_k6.4.0-1", manager="zypper"),
            release("sles", "ID_LIKE=suse\n"),
        ),
    ),
    "talos": (release("talos"),),
    "truenas": (kernel("6.12.33-production+truenas"), there("/usr/bin/midclt", mode=0o755)),
    "ubuntu": (debs("nvidia-dkms-580-server 580.95.05-0ubuntu0.24.04.2"),),
    "ubuntu-prebuilt": (
        there("/lib/modules/6.8.0-40-generic/kernel/nvidia-580srv/nvidia.ko"),
        debs("linux-modules-nvidia-580-server-6.8.0-40-generic 6.8.0-40.40+1"),
    ),
    "universal-blue": (there("/usr/share/ublue-os/image-info.json"), release("bazzite")),
    "unraid": (there("/etc/unraid-version"),),
    "void": (release("void"),),
    "windows": (kernel("5.15.167.4-microsoft-standard-WSL2"),),
}
NONE: Machine = joined(
    system(*UBUNTU_24),
    gpus(T4, bound=None),
    docker(),
    {
        "files": {"/proc/modules": "drm 1 0 - Live 0x0\n"},
        "commands": {
            "modinfo nvidia": failed(1, "modinfo: ERROR: Module nvidia not found."),
            "modinfo nvidia-current": failed(1, "modinfo: ERROR: Module nvidia-current not found."),
            SMI: NO_DRIVER,
        },
        "nvml": [{"error": "Driver Not Loaded", "code": 9}],
    },
)
NO_LIBRARY = {"nvml": [{"error": "NVML Shared Library Not Found", "code": 12}]}
LIBRARY = {
    "stats": {"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": {}},
    "links": {"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": "libnvidia-ml.so.570.153.02"},
}


def driven(board: Board, version: str, is_open: bool = False) -> Machine:
    return joined(system(*UBUNTU_24), gpus(board), driver(KERNEL, version, "13.0", board, is_open=is_open), docker())


ILLS: Mapping[str, Machine] = {
    "no driver at all": joined(NONE, NO_LIBRARY),
    "no module for this kernel": joined(NONE, LIBRARY),
    "no library": joined(driven(T4, *DRIVER_580[:1]), NO_LIBRARY),
    "library of another version": joined(driven(T4, *DRIVER_580[:1]), LIBRARY),
    "too old a driver": driven(T4, "410.104"),
    "the open module on Pascal": driven(GTX_1080, "580.95.05", is_open=True),
    "the proprietary module on Blackwell": driven(B200, "580.95.05"),
    "a driver that dropped the GPU": driven(GTX_1080, "595.91.07"),
}
BRINGS_A_DRIVER = re.compile(
    r"nvidia-open|cuda-drivers|nvidia-driver|nvidia-kmod|akmod|x11-drv-nvidia|linux-modules-nvidia|cuda-keyring"
    r"|compute/cuda/repos|ubuntu-drivers|system76|NVIDIA-Linux|linux-headers|kernel-devel|cos-extensions|mhwd|emerge"
    r"|xbps|transactional-update|rpm-ostree|zypper|nixos-rebuild|full-upgrade|install.* nvidia-smi$|\*nvidia\*"
)


def on(*parts: Machine) -> SnapshotHost:
    """The machine that has all parts. Where one of them makes it a guest, what its vendor runs is the guest's."""
    return host(**joined(*parts))


def own(keeper: str) -> list[str]:
    """How the commands of a keeper's row begin, up to the first value that is filled in."""
    row = keepers()[keeper]
    commands = (
        command.for_root()
        for command in (*row.commands, *row.module_commands, *row.older_commands, *row.image_commands)
    )
    return [plain(str(command)).partition("{")[0] for command in commands]


def plain(command: str) -> str:
    """A command without the quotes around its words."""
    return command.replace("'", "")


def printed(machine: SnapshotHost) -> list[str]:
    """Every command that doctor, recommend and check print for the driver."""
    needed = {need for id in DRIVER_LAYERS for need in CHECKS[id].needs}
    facts = gather(machine, needed | set(SUBJECTS))
    remedies = [finding.remedy for finding in diagnose(facts).findings]
    remedies += [host_recommendation("13.0", facts, None, ()).remedy]
    remedies += host_answer(Question((typed_cuda("13.0"),)), facts, Described()).remedies
    return [command for remedy in remedies for command in shown(remedy)]


def test_every_keeper_of_the_table_has_a_sign_and_every_sign_a_row() -> None:
    assert set(SIGNS) == set(keepers())


@pytest.mark.parametrize(
    ("keeper", "sign"),
    [(keeper, sign) for keeper, signs in SIGNS.items() for sign in signs],
    ids=lambda one: str(one)[:20],
)
def test_a_keeper_is_known_by_each_of_its_signs_and_says_by_which(keeper: str, sign: Machine) -> None:
    found = gather(on(NONE, sign), [Keeper]).known(Keeper)
    assert found.driver.value == keeper
    assert found.driver.source


def test_a_host_without_a_sign_has_no_keeper_and_gets_the_way_of_its_distribution() -> None:
    machine = on(ILLS["no driver at all"])
    assert gather(machine, [Keeper]).known(Keeper).driver.value is None
    assert any("ubuntu2404" in command for command in printed(machine))


@pytest.mark.parametrize(
    ("there", "stays"),
    [(system(*UBUNTU_24), True), (joined(release("fedora"), {"which": {"dnf": "/usr/bin/dnf"}}), False)],
    ids=["pinned", "newest"],
)
def test_doctor_check_and_recommend_bring_one_driver_and_say_where_it_leaves_the_branch_they_name(
    there: Machine, stays: bool
) -> None:
    facts = gather(on(HOSTS["fresh-ubuntu"], there), [*CHECKS["kernel.driver-installed"].needs, *SUBJECTS])
    found = host_recommendation("12.4", facts, None, ())
    (answer,) = host_answer(Question((typed_cuda("12.4"),)), facts, Described()).remedies
    doctor = ask(CHECKS["kernel.driver-installed"], facts).remedy
    assert found.choice and found.choice.branch
    assert shown(found.remedy) == shown(answer) == shown(doctor)
    assert any(found.choice.branch.branch in command for command in shown(answer)) is stays
    assert ("to stay on branch" in answer.text, "driver.newest-package" in map(attrgetter("id"), found.reasons)) == (
        not stays,
        not stays,
    )


# https://github.com/linuxmint/mintdrivers, whose own codenames no repository knows
@pytest.mark.parametrize(
    ("id", "more", "repository"),
    [
        ("linuxmint", 'ID_LIKE="ubuntu debian"\nVERSION_CODENAME=zara\nUBUNTU_CODENAME=noble\n', "ubuntu2404"),
        ("linuxmint", "ID_LIKE=debian\nVERSION_CODENAME=gigi\nDEBIAN_CODENAME=trixie\n", "debian13"),
        ("zorin", 'ID_LIKE="ubuntu debian"\nVERSION_CODENAME=jammy\nUBUNTU_CODENAME=jammy\n', "ubuntu2204"),
        ("devuan", "ID_LIKE=debian\nVERSION_CODENAME=excalibur\n", None),
    ],
)
def test_a_relative_takes_the_driver_of_the_release_whose_packages_it_has(
    id: str, more: str, repository: str | None
) -> None:
    machine = on(ILLS["no driver at all"], release(id, more))
    assert gather(machine, [Keeper]).known(Keeper).driver.value is None
    places = [command for command in printed(machine) if "compute/cuda/repos" in command]
    assert bool(places) is bool(repository)
    assert all(f"/{repository}/" in command for command in places)


def test_a_driver_that_the_operator_found_on_the_host_is_not_the_operators() -> None:
    validation = {"files": {"/run/nvidia/validations/driver-ready": "IS_HOST_DRIVER=true\nNVIDIA_DRIVER_ROOT=/\n"}}
    found = gather(on(NONE, *SIGNS["gpu-operator"], validation), [Keeper]).known(Keeper)
    assert found.driver.value is None


@pytest.mark.parametrize("ill", ILLS)
@pytest.mark.parametrize("keeper", [one for one in SIGNS if one != NVIDIA])
def test_no_remedy_puts_a_second_driver_over_another_keepers(keeper: str, ill: str) -> None:
    commands = printed(on(ILLS[ill], SIGNS[keeper][0]))
    brought = [command for command in commands if BRINGS_A_DRIVER.search(command)]
    foreign = [command for command in brought if not any(plain(command).startswith(way) for way in own(keeper))]
    assert foreign == []


def newest(keeper: str) -> list[str]:
    """The commands by which a keeper brings its newest driver."""
    return [str(command.for_root()) for command in keepers()[keeper].commands if BRINGS_A_DRIVER.search(str(command))]


# https://archlinux.org/news/nvidia-590-driver-drops-pascal-support-main-packages-switch-to-open-kernel-modules/,
# https://github.com/pop-os/pop/issues/3640, https://github.com/NixOS/nixos-hardware/issues/1880
@pytest.mark.parametrize("ill", ["the open module on Pascal", "a driver that dropped the GPU"])
@pytest.mark.parametrize("keeper", [id for id, row in keepers().items() if row.older_way])
def test_no_keepers_newest_driver_is_brought_for_a_gpu_that_it_has_left_behind(keeper: str, ill: str) -> None:
    machine = on(ILLS[ill], SIGNS[keeper][0])
    kept = {str(command.for_root()) for command in keepers()[keeper].older_commands}
    assert set(newest(keeper)) & set(printed(machine)) <= kept
    told = " ".join(one.remedy.text for one in diagnose(gather(machine)).findings if one.remedy)
    assert (keepers()[keeper].older_way or "").format(last="580") in told


@pytest.mark.parametrize(
    ("keeper", "board", "says", "commands"),
    [
        ("void", K80, "nvidia470", 2),
        ("microos", K80, "Branch 470 is the last", 0),
        ("debian", K80, "Branch 470 is the last", 0),
        ("debian", GTX_1080, "Debian's own packages", 3),
        ("kali", B200, "with all else up to date", 4),
        ("kali", K80, "Branch 470 is the last", 0),
        ("ubuntu", K80, "Ubuntu's own packages", 3),
        ("arch", B200, "Arch's own packages, with all else", 2),
    ],
    ids=str,
)
def test_a_keepers_way_is_that_to_a_branch_which_drives_the_gpu(
    keeper: str, board: Board, says: str, commands: int
) -> None:
    values = {"kernel": KERNEL, "headers": "linux-headers", "branch": "", "version": "", "architecture": "x86_64"}
    last = last_branch([gpu_of_nvml(board.name, board.capability, board.brand)])
    text, told = way_of(keepers()[keeper], False, last, True, values)
    assert says in text
    assert len(told) == commands


@pytest.mark.parametrize("branch", ["535", "580-server", "580-server-open", "550-open"])
def test_ubuntus_modules_are_named_by_branch_flavour_and_kernel(branch: str) -> None:
    folder = "nvidia-" + branch.replace("-server", "srv")
    machine = on(ILLS["no module for this kernel"], there(f"/lib/modules/6.8.0-40-generic/kernel/{folder}/nvidia.ko"))
    assert f"apt-get install -y linux-modules-nvidia-{branch}-{KERNEL}" in printed(machine)


@pytest.mark.parametrize(
    ("id", "upgrade"), [("opensuse-tumbleweed", "dup"), ("opensuse-slowroll", "dup"), ("opensuse-leap", "update")]
)
def test_a_suse_is_brought_up_to_date_as_it_has_to_be(id: str, upgrade: str) -> None:
    kmp = rpms("nvidia-open-driver-G06-signed-kmp-default 580.95.05_k6.4.0-1", manager="zypper")
    commands = printed(on(ILLS["no module for this kernel"], kmp, release(id, "ID_LIKE=suse\n")))
    assert f"zypper {upgrade}" in commands


def test_a_guest_of_lxc_is_told_the_version_of_its_hosts_module() -> None:
    for ill in ("no library", "library of another version"):
        assert "sh NVIDIA-Linux-x86_64-580.95.05.run --no-kernel-modules" in printed(on(ILLS[ill], virtual("lxc")))


def test_recommend_says_whose_driver_it_is() -> None:
    facts = gather(on(driven(T4, "570.153.02"), *SIGNS["windows"]), SUBJECTS)
    found = host_recommendation("13.0", facts, None, ())
    assert "never inside of WSL" in (found.remedy.text if found.remedy else "")
    assert (shown(found.remedy), found.package) == ((), None)
    assert any("Windows" in reason.message for reason in found.reasons)


@pytest.mark.parametrize("version", ["535.183.01", "570.153.02"])
@pytest.mark.parametrize("keeper", sorted(set(SIGNS) - {NVIDIA, "jetpack"}))
def test_check_and_recommend_change_a_keepers_driver_by_one_and_the_same_way(keeper: str, version: str) -> None:
    """A Jetson is asked about its JetPack, which is no driver to recommend."""
    facts = gather(on(driven(T4, version), SIGNS[keeper][0]), SUBJECTS)
    found = host_recommendation("13.5", facts, None, ())
    answer = host_answer(Question((typed_cuda("13.5"),)), facts, Described())
    assert found.remedy in answer.remedies
    row = keepers()[keeper]
    way = row.way if row.branch_of_release or not row.newer_way else row.newer_way
    assert way.split(" {")[0].split(":")[0] in (found.remedy.text if found.remedy else "")


@pytest.mark.parametrize(
    ("number", "version", "cuda", "told"),
    [
        ("11", "470.256.02", "12.2", "Debian 11 has branch 470 alone"),
        ("12", "535.261.03", "12.8", "Debian 12 has branch 535 alone"),
        ("13", "550.163.01", "13.0", "Debian 13 has branch 550 alone"),
        ("12", "525.147.05", "12.2", None),
        ("13", "535.247.01", "12.4", None),
    ],
)
def test_no_package_is_named_for_a_branch_that_a_release_of_the_distribution_never_gets(
    number: str, version: str, cuda: str, told: str | None
) -> None:
    system = {"files": {"/etc/os-release": f'ID=debian\nNAME="Debian"\nVERSION_ID="{number}"\n'}}
    kept = debs(f"nvidia-kernel-dkms {version}-1", f"nvidia-driver {version}-1")
    facts = gather(on(driven(T4, version), joined(system, kept)), SUBJECTS)
    (remedy,) = (
        one
        for one in host_answer(Question((typed_cuda(cuda),)), facts, Described()).remedies
        if one.disturbs is Disturbs.HOST
    )
    assert (told or "Take it from Debian's own packages") in remedy.text
    assert (remedy.commands == ()) is (told is not None)
    found = host_recommendation("13.0", facts, None, ())
    assert found.remedy and "in its own packages" in found.remedy.text and found.remedy.commands == ()


@pytest.mark.parametrize("keeper", SIGNS)
def test_doctor_says_whose_driver_it_is(keeper: str) -> None:
    facts = gather(on(driven(T4, "570.153.02"), SIGNS[keeper][0]), CHECKS["kernel.driver-installed"].needs)
    said = ask(CHECKS["kernel.driver-installed"], facts).message
    assert ("kept by" in said, keepers()[keeper].title in said) == (keeper != NVIDIA,) * 2


def test_recommend_says_that_no_driver_serves_where_only_open_modules_are_packaged() -> None:
    azure = joined(release("azurelinux"), {"which": {"dnf": "/usr/bin/dnf"}})
    facts = gather(on(HOSTS["fresh-ubuntu"], azure), SUBJECTS)
    found = host_recommendation("12.4", facts, None, (gpu_of_nvml("Tesla V100-PCIE-16GB", "7.0", "tesla"),))
    assert (found.answer, found.package, shown(found.remedy)) == (Advice.NONE, None, ())
    assert "open kernel modules only" in found.reasons[0].message
    turing = host_recommendation("12.4", facts, None, (gpu_of_nvml("Tesla T4", "7.5", "tesla"),))
    assert (turing.answer, turing.package) == (Advice.INSTALL, "nvidia-open")


def test_what_is_printed_for_a_distribution_without_a_row_is_a_sentence() -> None:
    machine = on(
        joined(NONE, NO_LIBRARY),
        release("openEuler"),
        {"which": {"dnf": "/usr/bin/dnf"}, "lists": {PCI + "/none": []}},
    )
    assert [command for command in printed(machine) if BRINGS_A_DRIVER.search(command)] == []
    assert json.dumps(printed(machine)).count("apt-get") == 0


def test_the_fabric_manager_comes_by_command_where_ubuntus_modules_for_servers_name_its_branch() -> None:
    def commands(folder: str) -> tuple[str, ...]:
        signed = there(f"/lib/modules/{UBUNTU_22[3]}/kernel/{folder}/nvidia.ko")
        facts = gather(on(HOSTS["h100-nvswitch-no-fabric-manager"], signed))
        return shown(next(one for one in diagnose(facts).findings if one.id == "driver.fabric-manager").remedy)

    assert commands("nvidia-580srv-open")[1:] == (
        "apt-get install -y nvidia-fabricmanager-580",
        "systemctl enable --now nvidia-fabricmanager",
    )
    assert commands("nvidia-580") == ()  # Ubuntu builds the fabric manager of its drivers for servers alone


def test_what_layers_a_driver_onto_an_image_keeps_nouveau_from_loading_and_names_where_it_is_from() -> None:
    row = keepers()["ostree"]
    for commands in (row.commands, row.older_commands):
        assert any("kargs" in str(one) and "modprobe.blacklist=nouveau" in str(one) for one in commands)
    assert all("https://rpmfusion.org/Configuration" in str(way) for way in (row.way, row.older_way))


def test_a_file_that_a_remedy_runs_is_fetched_before() -> None:
    for row in keepers().values():
        lines = [str(one) for one in (*row.commands, *row.module_commands, *row.older_commands)]
        for place, line in enumerate(lines):
            for word in line.split():
                if word.endswith(".run"):
                    assert any(word in before for before in lines[: place + 1] if "curl" in before), row.keeper
