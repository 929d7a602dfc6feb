"""The toolkit's settings: what a container gets by each on a real dockerd, and that the doctor says just that."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hosts_v100 import GPU, INSTALLED, NVML, QUERY, docker, v100
from simhost import Bed, Dockerd, SimHost, Toolkit, import_image

from gpuctl.checks.every import diagnose
from gpuctl.checks.questions.enforcement import enforcement
from gpuctl.checks.questions.host_answer import GATE_SUBJECTS
from gpuctl.compat.knowledge.toolkit_settings import described, setting_row, toolkit_settings
from gpuctl.facts.gather import gather
from gpuctl.facts.machine.system import ARCHITECTURE
from gpuctl.facts.toolkit.settings import parse_settings
from gpuctl.model import Finding, Status

CONFIG_TOML = "/etc/nvidia-container-runtime/config.toml"
IMAGE = "nvidia/cuda:10.1-base"
CLI, RUNTIME, HOOK = "[nvidia-container-cli]\n", "[nvidia-container-runtime]\n", "[nvidia-container-runtime-hook]\n"
FEATURE = "[features]\nallow-ldconfig-from-container = true\n"
SKIP = f"{HOOK}skip-mode-detection = true\n"
ACCEPT = "accept-nvidia-visible-devices-envvar-when-unprivileged"
JIT, LEGACY = "1.20.0", "1.17.8"

ROWS = [
    ("", JIT, True, True, None),
    ("", LEGACY, True, True, None),
    (f'{RUNTIME}mode = "jit-cdi"\n', JIT, False, True, "toolkit.hook-mode"),
    (f'{RUNTIME}mode = "jit-cdi"\n', LEGACY, False, False, "toolkit.hook-mode"),
    (f'{RUNTIME}mode = "csv"\n', JIT, False, False, "toolkit.hook-mode"),
    (f'{RUNTIME}mode = "legcay"\n', JIT, False, False, "toolkit.hook-mode"),
    (f'{RUNTIME}mode = "cdi"\n', JIT, False, False, "toolkit.hook-mode"),
    (f'{RUNTIME}mode = "cdi"\n{SKIP}', JIT, True, False, "toolkit.hook-mode"),
    (f'{CLI}ldconfig = "@/sbin/ldconfig.real"\n', JIT, True, True, None),
    (f'{CLI}ldconfig = "@/opt/ldconfig"\n', JIT, False, True, "toolkit.ldconfig"),
    (f'{CLI}ldconfig = "/sbin/ldconfig"\n', JIT, False, False, "toolkit.ldconfig"),
    (f'{CLI}path = "/opt/nvidia-container-cli"\n', JIT, False, True, "toolkit.settings"),
    (f'{RUNTIME}runtimes = ["cruncc"]\n', JIT, True, False, "toolkit.settings"),
    (f"{ACCEPT} = false\n", JIT, False, False, "toolkit.settings"),
    (f"{CLI}no-cgroups = true\n", JIT, False, True, "toolkit.no-cgroups"),
    (f"{CLI}no-cgroups = true\n", LEGACY, False, False, "toolkit.no-cgroups"),
    ('[nvidia-ctk]\npath = "/opt/nvidia-ctk"\n', JIT, True, False, "toolkit.settings"),
    (f'{HOOK}path = "/opt/hook"\n', LEGACY, True, False, "toolkit.settings"),
    (f"{RUNTIME}runtimes = []\n", JIT, True, False, "toolkit.settings"),
    ('supported-driver-capabilities = "compute,utilty"\n', JIT, False, True, "toolkit.settings"),
    (f"{CLI}no-cgroups =\n", JIT, False, False, "toolkit.config-valid"),
    (f'{CLI}no-cgroups = "true"\n', JIT, False, False, "toolkit.config-valid"),
]
"""config.toml, the toolkit's release, whether --gpus and --runtime=nvidia give GPUs, and the check that complains."""


@pytest.fixture(scope="module")
def engine(bed: Bed) -> Iterator[tuple[Dockerd, Toolkit]]:
    directory = Path(tempfile.mkdtemp(prefix="settings-"))
    directory.chmod(0o755)
    toolkit = Toolkit(bed, directory)
    toolkit.install("v100")
    daemon = Dockerd(config=f'{{"runtimes": {{"nvidia": {{"path": "{toolkit.runtime}"}}}}}}', path=[directory])
    daemon.start()
    import_image(daemon, IMAGE)
    yield daemon, toolkit
    daemon.close()
    shutil.rmtree(directory)


BY_FLAG, BY_RUNTIME = ("--gpus", "all"), ("--runtime", "nvidia", "-e", "NVIDIA_VISIBLE_DEVICES=all")


@pytest.mark.parametrize(("text", "version", "by_flag", "by_runtime", "complains"), ROWS)
def test_the_doctor_says_of_each_way_what_a_container_gets_there(
    engine: tuple[Dockerd, Toolkit], text: str, version: str, by_flag: bool, by_runtime: bool, complains: str | None
) -> None:
    daemon, toolkit = engine
    toolkit.configure("v100", config=text, version=version)
    run = ("run", "--rm", "--network=none")
    ended = [daemon.docker(*run, *way, IMAGE, "nvidia-smi", "-L") for way in (BY_FLAG, BY_RUNTIME)]
    assert [one.code == 0 for one in ended] == [by_flag, by_runtime], [one.err for one in ended]
    said = loud(text, version, stats={"/sbin/ldconfig": {"mode": 0o755}})
    assert set(said) == ({complains} if complains else set())
    if complains:
        assert said[complains].status is (Status.WARN if by_flag or by_runtime else Status.FAIL)
        remedy = said[complains].remedy
        assert remedy and remedy.commands


@pytest.mark.parametrize(
    ("text", "by", "check", "words"),
    [
        (f"{CLI}no-cgroups =\n", (), "toolkit.config-valid", "line 2"),
        (f"{CLI}no-cgroups =\n", ("--runtime", "nvidia"), "toolkit.config-valid", "line 2"),
        (f'{CLI}ldconfig = "/sbin/ldconfig"\n', ("--runtime", "nvidia"), "toolkit.ldconfig", "without an @ before it"),
        (f'{RUNTIME}mode = "csv"\n', ("--runtime", "nvidia"), "toolkit.hook-mode", 'mode = "csv"'),
        (f"{ACCEPT} = false\n", (), "toolkit.settings", "is passed over"),
        ('supported-driver-capabilities = "compute,utilty"\n', (), "toolkit.settings", "does not know"),
        ('[nvidia-ctk]\npath = "/opt/nvidia-ctk"\n', ("--runtime", "nvidia"), "toolkit.settings", "nvidia-ctk.path"),
        (f"{CLI}no-cgroups = true\n", (), "toolkit.no-cgroups", "no-cgroups"),
    ],
)
def test_smoke_and_doctor_of_one_host_agree(
    engine: tuple[Dockerd, Toolkit],
    sim_host: Callable[..., SimHost],
    text: str,
    by: tuple[str, ...],
    check: str,
    words: str,
) -> None:
    daemon, toolkit = engine
    toolkit.configure("v100", config=text, version=JIT)
    host = sim_host("v100", toolkit=toolkit, dockerd=daemon, files={CONFIG_TOML: text})
    smoke = host.gpuctl("smoke", "--image", IMAGE, *by, "--json").json
    assert smoke["passed"] is False
    assert words in smoke["cause"]
    findings = host.gpuctl("doctor", "--only", "toolkit", "--json").json["findings"]
    assert check in {one["id"] for one in findings if one["status"] in ("fail", "warn")}


def programs(version: str) -> dict[str, str]:
    return {
        "nvidia-ctk --version": f"NVIDIA Container Toolkit CLI version {version}\n",
        "nvidia-container-cli --version": f"cli-version: {version}\n",
        "nvidia-container-runtime --version": f"NVIDIA Container Runtime version {version}\n",
        "nvidia-container-runtime-hook --version": f"NVIDIA Container Runtime Hook version {version}\n",
        QUERY: INSTALLED.replace(LEGACY, version),
    }


def loud(text: str, version: str = JIT, engine: str = "28.5.2", **differs: Any) -> dict[str, Finding]:
    """What the toolkit's checks complain of on such a host, its release aside."""
    said = diagnosed(text, version, engine, **differs)
    of_release = ("toolkit.version-safe", "toolkit.release-faults")
    heard = (Status.FAIL, Status.WARN, Status.UNKNOWN)
    return {one.id: one for one in said if one.layer == "toolkit" and one.status in heard and one.id not in of_release}


def tegra(name: str) -> dict[str, Any]:
    return {"nvml": [NVML[0], GPU | {"name": name}], "files": {ARCHITECTURE: "aarch64\n"}}


def found(id: str, text: str, version: str = JIT, engine: str = "28.5.2", **differs: Any) -> Finding:
    return next(one for one in diagnosed(text, version, engine, **differs) if one.id == id)


def diagnosed(text: str, version: str, engine: str, **differs: Any) -> tuple[Finding, ...]:
    info, files = differs.pop("info", {}), differs.pop("files", {})
    host = v100(
        files={CONFIG_TOML: text, **files}, commands=programs(version), sockets=docker(engine, **info), **differs
    )
    return diagnose(gather(host)).findings


@pytest.mark.parametrize(
    ("id", "text", "differs", "status"),
    [
        # A Docker that serves --gpus by CDI reads none of the settings for it.
        ("toolkit.hook-mode", f'{RUNTIME}mode = "csv"\n', {"engine": "29.7.0", "info": {"DiscoveredDevices": [
            {"Source": "cdi", "ID": "nvidia.com/gpu=all"}]}}, Status.WARN),
        # With nvidia as the default runtime, that takes the hook of --gpus away.
        ("toolkit.hook-mode", f'{RUNTIME}mode = "jit-cdi"\n', {"info": {"DefaultRuntime": "nvidia"}}, Status.PASS),
        ("toolkit.no-cgroups", f"{CLI}no-cgroups = true\n", {"info": {"DefaultRuntime": "nvidia"}}, Status.PASS),
        # A program that is bound to its mode by its name.
        ("toolkit.hook-mode", "", {"info": {"Runtimes": {"nvidia": {"path": "/usr/bin/nvidia-container-runtime.cdi"}}}},
         Status.WARN),
        # Only the ways that are in use: no runtime is registered.
        ("toolkit.hook-mode", f'{RUNTIME}mode = "jit-cdi"\n', {"info": {"Runtimes": {"runc": {"path": "runc"}}}},
         Status.FAIL),
        ("toolkit.ldconfig", f'{CLI}ldconfig = "/sbin/ldconfig"\n', {"version": "1.17.2"}, Status.PASS),
        ("toolkit.ldconfig", f'{CLI}ldconfig = "/sbin/ldconfig"\n', {"version": "1.17.3"}, Status.FAIL),
        ("toolkit.ldconfig", f'{CLI}ldconfig = "/sbin/ldconfig"\n{FEATURE}', {}, Status.PASS),
        ("toolkit.ldconfig", f'{CLI}ldconfig = "@/sbin/ldconfig.real"\n',
         {"version": "1.14.6", "stats": {"/sbin/ldconfig": {"mode": 0o755}}}, Status.FAIL),
        ("toolkit.driver-root", f'{CLI}root = "/run/nvidia/driver"\n', {}, Status.FAIL),
        ("toolkit.settings", '[nvidia-ctk]\npath = "/opt/nvidia-ctk"\n', {}, Status.WARN),
        ("toolkit.settings", '[nvidia-ctk]\npath = "/opt/nvidia-ctk"\n', {"version": LEGACY}, Status.PASS),
        ("toolkit.settings", f'{HOOK}path = "/opt/hook"\n', {"version": LEGACY}, Status.WARN),
        ("toolkit.settings", f"{RUNTIME}runtimes = []\n", {}, Status.WARN),
        ("toolkit.settings", 'supported-driver-capabilities = "compute,utilty"\n', {}, Status.WARN),
        ("toolkit.settings", 'supported-driver-capabilities = "utility,compute"\n', {}, Status.PASS),
        ("toolkit.config-valid", f"{CLI}no-cgroup = true\n", {}, Status.WARN),
        ("toolkit.config-valid", f"{SKIP}", {"version": "1.12.1"}, Status.WARN),
        ("toolkit.config-valid", '[[nvidia-container-cli]]\nroot = "/"\n', {}, Status.FAIL),
        ("toolkit.config-valid", "nvidia-container-cli = 1\n", {}, Status.FAIL),
        ("toolkit.config-valid", "\ufeffdisable-require = false\n", {}, Status.PASS),
        # On a Tegra auto is csv.
        ("toolkit.hook-mode", "", tegra("Orin (nvgpu)"), Status.WARN),
        ("toolkit.hook-mode", f'{RUNTIME}mode = "csv"\n', tegra("NVIDIA Thor"), Status.WARN),
    ],
)  # fmt: skip
def test_a_setting_counts_on_the_paths_that_read_it(
    id: str, text: str, differs: dict[str, Any], status: Status
) -> None:
    assert found(id, text, **differs).status is status


def test_a_file_that_the_toolkit_reads_and_the_standard_refuses_is_not_called_broken() -> None:
    """A newline in an inline table, which go-toml takes: nvidia-ctk is asked before anything is said."""
    text = "nvidia-container-cli = {no-cgroups = false,\n root = '/'}\n"
    assert found("toolkit.config-valid", text).status is Status.FAIL
    takes = {**programs(JIT), f"nvidia-ctk config --config-file={CONFIG_TOML}": text}
    host = v100(files={CONFIG_TOML: text}, commands=takes)
    said = {one.id: one.status for one in diagnose(gather(host)).findings}
    assert said["toolkit.config-valid"] is Status.UNKNOWN


def test_the_remedy_writes_lists_with_colons_and_says_what_to_write_where_nvidia_ctk_cannot() -> None:
    runtimes = f"{RUNTIME}runtimes = []\n"
    remedy = found("toolkit.settings", runtimes).remedy
    assert remedy and "nvidia-container-runtime.runtimes=runc:crun" in str(remedy.by_hand[0])
    older = found("toolkit.hook-mode", f'{RUNTIME}mode = "csv"\n', "1.13.5").remedy
    assert older and 'nvidia-container-runtime.mode = "auto"' in older.text and "nvidia-ctk" not in str(older.commands)


@pytest.mark.parametrize(
    ("text", "version", "enforced", "why"),
    [
        (f"{ACCEPT} = false\n", JIT, False, ACCEPT),
        ("disable-require = true\n", JIT, False, "disable-require"),
        ("accept-nvidia-visible-devices-as-volume-mounts = true\n", JIT, True, "--gpus"),
        (f'{RUNTIME}mode = "legacy"\n', JIT, True, "--gpus"),
    ],
)
def test_check_image_goes_by_the_settings(text: str, version: str, enforced: bool, why: str) -> None:
    host = v100(files={CONFIG_TOML: text}, commands=programs(version), sockets=docker("28.5.2"))
    said = enforcement(gather(host, GATE_SUBJECTS))
    assert said.enforced is enforced
    assert why in said.why


def test_disable_require_does_not_count_in_the_csv_mode() -> None:
    text = f'disable-require = true\n{RUNTIME}mode = "csv"\n'
    host = v100(
        files={CONFIG_TOML: text, ARCHITECTURE: "aarch64\n"},
        commands=programs(JIT),
        sockets=docker("28.5.2", DefaultRuntime="nvidia"),
        nvml=[NVML[0], GPU | {"name": "NVIDIA Thor"}],
    )
    said = enforcement(gather(host, GATE_SUBJECTS))
    assert (said.enforced, "mode csv" in said.why) == (True, True)


def test_every_setting_has_a_row_for_any_value_and_its_rows_can_all_be_reached() -> None:
    for row in toolkit_settings():
        if row.setting == "*":
            continue
        told = described(row.setting)
        assert told and told.default is not None, row.setting
        value = list(row.value) if isinstance(row.value, tuple) else told.default if row.value is None else row.value
        version = row.since or "1.14.0"
        reached = {setting_row(row.setting, value, set(row.when), path, version) for path in row.paths}
        assert row in reached or row.kind, row


def test_settings_have_their_tables_before_them() -> None:
    said = parse_settings('x = 1\n[nvidia-container-runtime.modes.cdi]\nspec-dirs = ["/etc/cdi"]\n')
    assert said.values == {"x": 1, "nvidia-container-runtime.modes.cdi.spec-dirs": ["/etc/cdi"]}
    assert (parse_settings("a =\n").error or "").endswith("(at line 1, column 4)")


OPERATORS = "/usr/local/nvidia/toolkit"
PROGRAMS = ("nvidia-ctk", "nvidia-container-cli", "nvidia-container-runtime", "nvidia-container-runtime-hook")


@pytest.mark.parametrize(
    ("its_own", "of_the_host", "version", "status"),
    [
        ("", f"{CLI}no-cgroups = true\n", "", Status.PASS),  # the operator's programs do not read /etc
        (f"{CLI}no-cgroups = false\n", "", "", Status.PASS),  # which on no path of any release spoils root's engine
        (f"{CLI}no-cgroups = true\n", "", "1.17.8", Status.FAIL),
    ],
)
def test_the_operators_programs_go_by_what_its_toolkit_container_writes(
    its_own: str, of_the_host: str, version: str, status: Status
) -> None:
    """Its config.toml lies beside its programs, and it writes no no-cgroups at all."""
    gone = {f"{name} --version": None for name in (*PROGRAMS, "nvidia-cdi-hook")}
    told = {
        f"{OPERATORS}/{name} --version": f"NVIDIA Container Toolkit CLI version {version}\n" for name in PROGRAMS[:1]
    }
    path = f"{OPERATORS}/.config/nvidia-container-runtime/config.toml"
    machine = v100(
        commands={**gone, **(told if version else {})},
        stats={
            **{f"/usr/bin/{name}": None for name in (*PROGRAMS, "nvidia-cdi-hook")},
            **{f"{OPERATORS}/{name}": {"mode": 0o755} for name in PROGRAMS},
        },
        files={path: its_own, CONFIG_TOML: of_the_host},
        sockets=docker(Runtimes={"nvidia": {"path": f"{OPERATORS}/nvidia-container-runtime"}}),
    )
    (finding,) = (one for one in diagnose(gather(machine)).findings if one.id == "toolkit.no-cgroups")
    assert finding.status is status, finding
    if status is Status.FAIL:
        assert finding.evidence[0].source == path
        assert finding.remedy and not finding.remedy.commands and "ClusterPolicy" in finding.remedy.text
