"""Registering a runtime with CRI-O, of which Debian has no package: simhost/programs/crio.py stands in for it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import installing
import pytest
from hosts import denied, host
from newer import rows_of, text_of, write
from simhost import SimHost, Toolkit, until
from simhost.process import PATIENCE
from simhost.toolkit import with_shell
from test_faults import PODMAN, SPEC

from gpuctl.engines.crio import Differs, inherited, register
from gpuctl.engines.toml.shown import diff
from gpuctl.engines.toml.text import NotAccepted
from gpuctl.facts.crio import CONFIG, CrioProcess, parse_config, probe_crio
from gpuctl.facts.gather import gather
from gpuctl.host.look.http import get
from gpuctl.provision.change_set import DaemonProblem
from gpuctl.provision.engines.crio import crio
from gpuctl.provision.engines.crio.daemon import CrioDaemon
from gpuctl.provision.result import Wish

STAND_IN = Path(__file__).parent / "simhost" / "programs" / "crio.py"
VERSION = """\
if [ "$*" = --version ]; then
    case $CRIO_SIM in
    *'"version": "'*) version=${CRIO_SIM#*'"version": "'} ;;
    *) version=1.28.1 ;;
    esac
    echo "crio version ${version%%'"'*}"
    exit
fi
"""
FOLDER = "/etc/crio/crio.conf.d"
OURS, PACKAGED = f"{FOLDER}/99-nvidia.conf", f"{FOLDER}/10-crio.conf"
CONMON, CRUN = "/usr/libexec/crio/conmon", "/usr/libexec/crio/crun"
CRUN_TABLE = f"""\
[crio.runtime]
default_runtime = "crun"
[crio.runtime.runtimes.crun]
runtime_path = "{CRUN}"
runtime_root = "/run/crun"
monitor_path = "{CONMON}"
allowed_annotations = ["io.kubernetes.cri-o.Devices"]
"""
NVIDIA = f'[crio.runtime.runtimes.nvidia]\nruntime_path = "%s"\nmonitor_path = "{CONMON}"\n'
KATA = """\
[crio.runtime]
default_runtime = "kata"
[crio.runtime.runtimes.kata]
runtime_path = "/usr/bin/containerd-shim-kata-v2"
runtime_type = "vm"
"""
ENTRY = {"runtime_path": "/usr/bin/nvidia-container-runtime", "runtime_type": "oci", "monitor_path": CONMON}


class Running:
    """A host with a CRI-O that runs."""

    def __init__(self, host: SimHost, sim: dict[str, Any]) -> None:
        self.host, self.env = host, {"CRIO_SIM": json.dumps(sim)}
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        process = self.host.popen(["crio"], env=self.env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert until(lambda: self.host.path("/run/crio/crio.sock").exists() or process.poll() is not None)
        return process

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self.host.path("/run/crio/crio.sock").unlink(missing_ok=True)

    def install(self, *options: str) -> dict[str, Any]:
        return installing.install(self.host, "crio", *options, env=self.env)

    def gpuctl(self, *argv: str) -> dict[str, Any]:
        """What a command says that has to end well."""
        done = self.host.gpuctl(*argv, "--json", env=self.env)
        assert done.code == 0, done.out + done.err
        said: dict[str, Any] = done.json
        return said

    def doctor(self, check: str) -> Any:
        """What the doctor finds by one check."""
        found = self.host.gpuctl("doctor", "--only", check, "--json", env=self.env).json["findings"]
        return next(one for one in found if one["id"] == check)

    def files(self) -> list[str]:
        """What lies in the directory of which every file counts."""
        return sorted(path.name for path in self.host.path(FOLDER).iterdir())

    def restart(self) -> None:
        """Asserts that it starts."""
        self.stop()
        self.process = self.start()
        assert self.process.poll() is None, self.process.communicate()

    def config(self) -> Any:
        return parse_config("", get(f"unix://{self.host.path('/run/crio/crio.sock')}", "/config", PATIENCE).text)


@pytest.fixture
def crio_host(toolkit: Toolkit, sim_host: Callable[..., SimHost]) -> Iterator[Callable[..., Running]]:
    """`crio_host(sim={…}, files={…})` gives a host whose CRI-O has its conmon where the packages put it."""
    running: list[Running] = []

    def make(sim: dict[str, Any] = {}, files: dict[str, str] = {}, **options: Any) -> Running:
        toolkit.install("v100")
        files = {PACKAGED: CRUN_TABLE, CONMON: "", CRUN: "", **files}
        commands = {"crio": with_shell(VERSION, sys.executable, STAND_IN.read_text()), **options.pop("commands", {})}
        absent = ["/usr/bin/conmon", "/usr/bin/crun", "/usr/sbin/dockerd", "/usr/bin/docker"]
        made = sim_host("v100", toolkit=toolkit, files=files, commands=commands, absent=absent, **options)
        made.path(CONMON).chmod(0o755)
        running.append(Running(made, sim))
        assert running[-1].process.poll() is None, running[-1].process.communicate()
        return running[-1]

    yield make
    for one in running:
        one.stop()


def stamps(host: SimHost, *paths: str) -> list[tuple[int, int]]:
    """Inode and time of modification of each file."""
    return [(host.path(path).stat().st_ino, host.path(path).stat().st_mtime_ns) for path in paths]


def test_the_runtime_is_registered_by_a_drop_in_and_a_reload(
    crio_host: Callable[..., Running], toolkit: Toolkit
) -> None:
    running = crio_host()
    before = stamps(running.host, PACKAGED)
    done = running.install("--set-default")
    assert (done["changed"], done["verified"], done["code"]) == (True, True, 0), done
    config = running.config()
    assert config.default_runtime == "nvidia"
    assert config.runtimes["nvidia"]["runtime_path"] == toolkit.runtime
    assert config.runtimes["nvidia"]["monitor_path"] == CONMON
    assert config.runtimes["nvidia"]["runtime_root"] == "/run/crun"
    assert running.process.poll() is None
    written = stamps(running.host, PACKAGED, OURS)
    again = running.install("--set-default")
    assert (again["changed"], again["verified"]) == (False, True)
    assert (written[0], stamps(running.host, PACKAGED, OURS)) == (before[0], written)


def test_what_is_taken_out_is_gone_from_crio_and_from_its_directory(
    crio_host: Callable[..., Running], toolkit: Toolkit
) -> None:
    running = crio_host()
    running.install("--set-default")
    done = running.gpuctl("uninstall-runtime")
    assert (done["changed"], done["verified"], done["restart_needed"]) == (True, True, False)
    config = running.config()
    assert (sorted(config.runtimes), config.default_runtime, running.files()) == (["crun"], "crun", ["10-crio.conf"])
    assert done["backup"].startswith("/etc/crio/99-nvidia.conf.gpuctl-") and running.host.path(done["backup"]).exists()
    running.gpuctl("rollback", done["run"])
    assert (running.config().default_runtime, running.files()) == ("nvidia", ["10-crio.conf", "99-nvidia.conf"])
    running.gpuctl("uninstall-runtime")
    toolkit.remove()
    running.restart()
    assert running.files() == ["10-crio.conf"]


def test_a_runtime_that_another_file_registers_too_is_told_to_stay(crio_host: Callable[..., Running]) -> None:
    running = crio_host()
    running.install()
    running.host.path("/etc/crio/crio.conf").write_text(NVIDIA % "/bin/true")
    done = running.gpuctl("uninstall-runtime")
    assert done["notes"] == ["CRI-O keeps the runtime nvidia: /etc/crio/crio.conf says so too."]
    assert running.config().runtimes["nvidia"]["runtime_path"] == "/bin/true"


def test_a_crio_that_has_what_no_file_says_is_no_success(crio_host: Callable[..., Running]) -> None:
    running = crio_host()
    running.install()
    running.stop()
    running.env["CRIO_SIM"] = json.dumps({"ignores_sighup": True})
    running.restart()
    done = running.host.gpuctl("uninstall-runtime", "--json", "--timeout=1", env=running.env)
    assert done.code == 4 and "CRI-O lists the runtime nvidia, which no file registers" in done.json["error"]
    assert running.files() == ["10-crio.conf", "99-nvidia.conf"]


@pytest.mark.slow
def test_two_hundred_runs_side_by_side_of_all_that_changes_a_host_leave_each_thing_whole_and_crio_goes_by_it(
    crio_host: Callable[..., Running], tmp_path: Path
) -> None:
    running = crio_host(commands={"podman": PODMAN})
    tables = {word: [{**row, "source": word} for row in rows_of("minor_versions")] for word in ("a", "b")}
    folders = [str(write(tmp_path / word, minor_versions=rows)) for word, rows in tables.items()]
    for folder in folders:
        running.gpuctl("data", "use", folder)  # verified once, not in each run
    commands = [
        ["install-runtime", "--engine=crio"],
        ["install-runtime", "--engine=crio", "--set-default"],
        ["uninstall-runtime"],
        ["install-runtime", "--engine=crio", "--name=other"],
        ["rollback"],
        ["install-runtime", "--engine=podman"],
        ["doctor", "--fix", "--yes", "--only=cdi"],
        *(["data", "use", folder] for folder in folders),
    ]
    argv = [sys.executable, "-c", installing.MIXTURE, json.dumps(commands), "200", "200"]
    done = running.host.run(argv, env=running.env, timeout=600)
    assert done.code == 0, done.err
    codes = done.json
    assert set(codes.pop("doctor")) <= {0, 1, 3}  # what it mended, another run may have changed before it looked again
    installing.check_ends(codes, done.err)
    assert {run["state"] for run in running.gpuctl("history")["runs"]} <= {"done", "undone"}
    with running.host.path("/run/gpuctl/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    table = running.host.run(["cat", "/var/lib/gpuctl/data/minor_versions.jsonl"]).out
    assert table in map(text_of, tables.values())
    spec, fits = running.host.path(SPEC), running.host.run(["nvidia-ctk", "cdi", "generate"]).out
    assert not spec.exists() or spec.read_text() == fits
    assert running.config().runtimes.keys() <= {"crun", "nvidia", "other"}
    assert running.install("--set-default")["verified"]
    running.gpuctl("uninstall-runtime", "--engine=podman")
    assert running.gpuctl("uninstall-runtime", "--engine=crio")["verified"] and not spec.exists()
    config = running.config()
    assert (sorted(config.runtimes), config.default_runtime, running.files()) == (["crun"], "crun", ["10-crio.conf"])
    assert not list(running.host.root.glob("upper/**/*.tmp"))


def test_an_old_crio_keeps_what_was_taken_out_until_its_restart(crio_host: Callable[..., Running]) -> None:
    running = crio_host(sim={"version": "1.24.6"})
    running.install()
    running.restart()
    done = running.gpuctl("uninstall-runtime")
    assert (done["verified"], done["restart_needed"]) == (False, True)
    assert done["notes"] == ["CRI-O keeps the runtime nvidia until it is restarted."]
    again = running.gpuctl("uninstall-runtime")
    assert (again["changed"], again["verified"], again["restart_needed"]) == (False, False, True)
    assert again["notes"] == done["notes"]
    running.restart()
    last = running.gpuctl("uninstall-runtime")
    assert (last["changed"], last["verified"], last["restart_needed"], last["notes"]) == (False, True, False, [])


def test_a_reload_that_crio_refuses_is_no_success_although_it_shows_what_it_refused(
    crio_host: Callable[..., Running],
) -> None:
    running = crio_host()
    running.host.path(f"{FOLDER}/20-site.conf").write_text(
        '[crio.runtime]\ndefault_runtime = "site"\n[crio.runtime.runtimes.site]\nruntime_path = "/not/there"\n'
    )
    problem = running.install("--timeout=1")["problem"]
    assert problem.startswith("CRI-O has refused its files: /not/there of the default runtime site is not there")
    shown = running.host.run(["crio", "status", "config"], env=running.env).out
    assert parse_config("", shown).default_runtime == "site"


def test_a_monitor_that_is_gone_is_told_before_crio_does_not_start_for_it(crio_host: Callable[..., Running]) -> None:
    running = crio_host()
    running.host.path(CONMON).chmod(0o644)
    refused = running.install()["refused"]
    assert refused.startswith(f"{CONMON}, the monitor of CRI-O's runtimes, is not there, or not executable")
    running.stop()
    assert running.start().wait(PATIENCE) == 1


def test_what_others_have_added_to_the_file_stays(crio_host: Callable[..., Running]) -> None:
    running = crio_host()
    running.install("--set-default")
    file = running.host.path(OURS)
    file.write_text(file.read_text() + '\n[crio.image]\npause_image = "registry.example/pause"\n')
    running.gpuctl("uninstall-runtime")
    assert file.read_text().endswith('\n[crio.image]\npause_image = "registry.example/pause"\n')
    assert sorted(running.config().runtimes) == ["crun"] and "nvidia" not in file.read_text()


def test_a_runtime_registered_elsewhere_is_judged_by_what_it_is(
    crio_host: Callable[..., Running], toolkit: Toolkit
) -> None:
    main = "/etc/crio/crio.conf"
    running = crio_host(files={main: NVIDIA % "/bin/true"})
    refused = running.install()["refused"]
    assert refused == f"{main} registers nvidia as '/bin/true'. Use --force to have {OURS} win."
    assert running.install("--force")["verified"]
    assert running.config().runtimes["nvidia"]["runtime_path"] == toolkit.runtime
    assert running.install("--force")["changed"] is False
    running.gpuctl("uninstall-runtime")
    text = NVIDIA % toolkit.runtime + 'runtime_root = "/run/crun"\n'
    text += 'allowed_annotations = ["io.kubernetes.cri-o.ShmSize"]\n'
    running.host.path(main).write_text(text)
    assert (running.install()["changed"], running.files()) == (False, ["10-crio.conf"])  # all is said there
    running.host.path(main).write_text(text + "inherit_default_runtime = true\n")
    assert "registers nvidia as the default runtime's program" in running.install()["refused"]
    running.host.path(main).write_text(text.replace(CONMON, ""))  # what lacks is added to what a person has said
    assert running.install()["verified"]
    entry = running.config().runtimes["nvidia"]
    assert (entry["monitor_path"], entry["allowed_annotations"]) == (CONMON, ["io.kubernetes.cri-o.ShmSize"])


INHERITED = [
    pytest.param(
        "own", {"own": {"container_min_memory": "8MiB"}, "runc": {"no_sync_log": True}}, "container_min_memory"
    ),
    pytest.param("", {"runc": {"no_sync_log": True}, "crun": {"monitor_path": "/c"}}, "no_sync_log"),
    pytest.param(
        "nvidia-cdi", {"nvidia-cdi": {"monitor_path": "/n"}, "crun": {"runtime_root": "/run/crun"}}, "runtime_root"
    ),
    pytest.param("gpu", {"gpu": {"runtime_path": "/usr/bin/nvidia-container-runtime"}, "runc": {"x": "y"}}, "x"),
    pytest.param("kata", {"kata": {"runtime_type": "vm", "monitor_path": "/k"}, "runc": {"x": "y"}}, "x"),
    pytest.param("own", {"own": {"inherit_default_runtime": True, "x": "y", "runtime_type": "oci"}}, "x"),
]


@pytest.mark.parametrize(("default", "runtimes", "key"), INHERITED)
def test_all_but_the_program_comes_from_the_runtime_that_containers_use(
    default: str, runtimes: dict[str, Any], key: str
) -> None:
    assert list(inherited(runtimes, default, "nvidia")) == [key]


def test_the_main_file_is_read_too(crio_host: Callable[..., Running], toolkit: Toolkit) -> None:
    running = crio_host()
    main = "/etc/crio/crio.conf"
    assert running.install(f"--config={main}", "--cdi")["verified"]
    assert running.config().runtimes["nvidia"]["runtime_path"] == toolkit.runtime
    assert running.gpuctl("uninstall-runtime")["verified"] and not running.host.path(main).exists()


def test_files_below_a_folder_are_read_after_ours(crio_host: Callable[..., Running]) -> None:
    later = f"{FOLDER}/site/10.conf"
    running = crio_host(files={later: '[crio.runtime]\ndefault_runtime = "crun"\n'})
    assert f"{later} makes crun the default runtime" in running.install("--set-default")["refused"]


def test_crio_starts_with_the_drop_in_and_not_with_one_that_lacks_the_monitor(
    crio_host: Callable[..., Running],
) -> None:
    running = crio_host()
    running.install()
    whole = running.host.path(OURS).read_text()
    lacking = "".join(line for line in whole.splitlines(keepends=True) if not line.startswith("monitor_path"))
    for text, starts in ((lacking, False), (whole, True)):
        running.stop()
        running.host.path(OURS).write_text(text)
        running.process = running.start()
        assert (running.process.poll() is None) == starts


def test_pods_go_by_what_crio_read_when_it_started_whatever_it_lists_after_a_reload(
    crio_host: Callable[..., Running],
) -> None:
    running = crio_host()
    done = running.install("--set-default")
    assert done["restart_needed"] is True and "issues/10202" in done["notes"][0]
    assert running.doctor("registration.crio-restart")["status"] == "warn"
    running.restart()
    again = running.install("--set-default", "--restart")
    assert (again["restart_needed"], again["notes"], again["verified"]) == (False, [], True)
    assert running.doctor("registration.crio-restart")["status"] == "pass"
    keeps = [True, ["CRI-O keeps the runtime nvidia and the default runtime nvidia until it is restarted."]]
    for changed in (True, False):
        out = running.gpuctl("uninstall-runtime")
        assert [out["changed"], out["restart_needed"], out["notes"]] == [changed, *keeps]
    back = running.gpuctl("rollback")
    assert (back["changed"], back["verified"], back["restart_needed"], back["notes"]) == (True, True, False, [])
    running.gpuctl("uninstall-runtime")
    running.restart()
    out = running.gpuctl("uninstall-runtime")
    assert (out["restart_needed"], out["notes"]) == (False, [])
    back = running.gpuctl("rollback")
    takes_up = "CRI-O takes up the runtime nvidia and the default runtime nvidia when it is restarted."
    assert (back["restart_needed"], back["notes"]) == (True, [takes_up])


def test_an_old_crio_takes_it_up_only_when_it_is_restarted(crio_host: Callable[..., Running]) -> None:
    running = crio_host(sim={"version": "1.24.6"})
    done = running.install()
    assert (done["changed"], done["verified"], done["restart_needed"]) == (True, False, True)
    assert "this one waits for a restart" in done["notes"][0]
    early = running.install()
    assert (early["changed"], early["verified"], early["restart_needed"]) == (False, False, True)
    assert (early["notes"], early["remedy"]) == (done["notes"], done["remedy"])
    running.stop()
    running.process = running.start()
    again = running.install()
    assert (again["changed"], again["verified"], again["restart_needed"]) == (False, True, False)


@pytest.mark.parametrize(
    ("sim", "files", "words"),
    [
        ({"ignores_sighup": True}, {}, "CRI-O does not list the runtime nvidia, 1 s after it was told."),
        ({"dies_on_sighup": True}, {}, "CRI-O does not answer"),
    ],
)
def test_a_daemon_that_does_not_take_it_up_is_told_as_a_problem(
    crio_host: Callable[..., Running], sim: dict[str, Any], files: dict[str, str], words: str
) -> None:
    done = crio_host(sim=sim, files=files).install("--timeout=1")
    assert words in done["problem"]


def test_a_run_that_is_killed_before_it_tells_crio_is_completed_by_the_next(crio_host: Callable[..., Running]) -> None:
    running = crio_host()
    killed = ["-qq", "-o/dev/null", "-etrace=kill", "-einject=kill:signal=KILL"]
    for command, has in ((["install-runtime", "--engine=crio"], True), (["uninstall-runtime"], False)):
        done = running.host.gpuctl(*command, strace=killed, env=running.env)
        assert done.code == -signal.SIGKILL, done.err
        assert ("99-nvidia.conf" in running.files(), "nvidia" in running.config().runtimes) == (has, not has)
        again = running.gpuctl(*command)
        assert (again["changed"], again["verified"], "nvidia" in running.config().runtimes) == (False, True, has)
    assert {run["state"] for run in running.gpuctl("history")["runs"]} == {"done"}


def test_a_crio_that_does_not_answer_yet_is_not_told_which_would_end_it() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        said = CrioProcess(process.pid, ("sleep", "60"), 0.0)
        daemon = CrioDaemon(host(), said, "/run/crio/crio.sock", None, "1.36.3", CONFIG, FOLDER)
        with pytest.raises(DaemonProblem, match="CRI-O does not answer, and was not told"):
            daemon.reload({}, 1)
        time.sleep(0.05)
        assert process.poll() is None
        process.kill()


def test_an_error_in_another_key_keeps_crio_from_taking_it_up(crio_host: Callable[..., Running]) -> None:
    running = crio_host()
    running.host.path(f"{FOLDER}/20-log.conf").write_text('[crio.runtime]\nlog_level = "loud"\n')
    assert "does not list the runtime nvidia" in running.install("--timeout=1")["problem"]


def test_a_default_that_is_a_virtual_machine_hands_nothing_on(crio_host: Callable[..., Running]) -> None:
    running = crio_host(files={f"{FOLDER}/20-kata.conf": KATA, "/usr/bin/containerd-shim-kata-v2": ""})
    assert running.install()["verified"]
    entry = running.config().runtimes["nvidia"]
    assert (entry["runtime_type"], entry["monitor_path"]) == ("oci", CONMON)


def test_a_later_file_that_says_otherwise_is_named_before_anything_is_written(
    crio_host: Callable[..., Running], toolkit: Toolkit
) -> None:
    later = f"{FOLDER}/99-zz.conf"
    running = crio_host(files={later: '[crio.runtime]\ndefault_runtime = "crun"\n'})
    assert running.install("--set-default")["refused"] == (
        f"{later} makes crun the default runtime, and counts after {OURS}."
    )
    assert not running.host.path(OURS).exists()
    running.host.path(later).write_text(NVIDIA % toolkit.runtime)
    refused = running.install()["refused"]
    lacks = "runtime_root, allowed_annotations"
    assert refused == f"{later} registers nvidia, lacks {lacks}, and counts after {OURS}. Use --config={later}."
    assert running.install(f"--config={later}")["verified"]
    assert running.config().runtimes["nvidia"]["runtime_root"] == "/run/crun"
    assert (running.install()["changed"], running.files()) == (False, ["10-crio.conf", "99-zz.conf"])


def test_what_nvidia_ctk_wrote_is_completed_and_another_program_is_not_replaced_without_force(
    crio_host: Callable[..., Running], toolkit: Toolkit
) -> None:
    text = '\n[crio]\n\n  [crio.runtime.runtimes.nvidia] # ours\n    runtime_path = "%s"\n    runtime_type = "oci"\n'
    running = crio_host(files={OURS: text % toolkit.runtime + f'    monitor_path = "{CONMON}"\n'})
    assert running.install()["changed"]  # the annotations were missing
    assert "# ours" in running.host.path(OURS).read_text()
    running.host.path(OURS).write_text(text % "/bin/true")
    refused = running.install()["refused"]
    assert refused == f"{OURS}:5: the runtime nvidia is registered as '/bin/true'. Use --force to replace that entry."
    assert running.install("--force")["verified"]
    assert running.config().runtimes["nvidia"]["runtime_path"] == toolkit.runtime


FORMS = {
    "dotted": f'[crio.runtime]\r\n# why\r\n\truntimes.crun.runtime_path = "{CRUN}" # c\r\n'
    f'\truntimes.crun.monitor_path = "{CONMON}"\r\n',
    "inline": "crio = { runtime = { runtimes = {} } } # all\n[x]\ny = 1979-05-27 07:32:00",
    "indented": f'  [crio.runtime.runtimes.crun]\n\truntime_path = "{CRUN}"\n\tmonitor_path = "{CONMON}" # c\n\n'
    '  [crio.runtime]\n  # none = ""\n',
}


@pytest.mark.parametrize("text", FORMS.values(), ids=list(FORMS))
def test_a_file_in_any_form_of_toml_is_changed_once_and_taken_up(crio_host: Callable[..., Running], text: str) -> None:
    running = crio_host()
    file = running.host.path(OURS)
    file.write_bytes(text.encode())
    planned = running.install("--set-default", "--dry-run")
    assert (planned["code"], planned["dry_run"], file.read_bytes()) == (0, True, text.encode())
    assert running.install("--set-default")["verified"]
    new = file.read_bytes()
    again = running.install("--set-default")
    assert (again["changed"], again["verified"], file.read_bytes()) == (False, True, new)
    assert running.config().default_runtime == "nvidia"
    assert all(line in new.decode().splitlines() for line in text.splitlines() if "{" not in line)


def test_systemd_tells_the_daemon_where_it_runs_it(crio_host: Callable[..., Running]) -> None:
    systemctl = """#!/bin/sh
pid=$(cat /run/crio.pid)
case "$*" in
*"show crio.service"*) printf 'Id=crio.service\\nLoadState=loaded\\nActiveState=active\\nMainPID=%s\\n' "$pid";;
"--no-ask-password reload crio.service") echo "$*" >> /run/told; kill -HUP "$pid";;
esac
"""
    running = crio_host(commands={"systemctl": systemctl}, files={"/run/systemd/system/there": ""})
    running.host.path("/run/crio.pid").write_text(str(running.process.pid))
    done = running.host.gpuctl("install-runtime", "--engine=crio", env=running.env)
    assert done.code == 0 and "CRI-O reloaded it and confirms" in done.out
    assert done.out.endswith("  $ systemctl restart crio\n")  # which is what comes next
    assert running.host.path("/run/told").read_text() == "--no-ask-password reload crio.service\n"
    running.restart()
    running.host.path("/run/crio.pid").write_text(str(running.process.pid))
    again = running.host.gpuctl("install-runtime", "--engine=crio", env=running.env)
    assert again.out.startswith("unchanged") and again.out.endswith("Next: a pod with runtimeClassName: nvidia\n")


def test_a_crio_that_does_not_run_reads_the_file_when_it_starts(crio_host: Callable[..., Running]) -> None:
    running = crio_host()
    running.stop()
    done = running.install()
    assert (done["changed"], done["verified"]) == (True, False)
    assert done["notes"] == ["CRI-O is not running: it reads the file when it starts. Nothing was verified."]
    running.process = running.start()
    assert "nvidia" in running.config().runtimes


def test_a_file_that_is_no_toml_and_a_host_without_crio_or_toolkit_are_told(
    crio_host: Callable[..., Running], sim_host: Callable[..., SimHost]
) -> None:
    running = crio_host()
    running.host.path(f"{FOLDER}/30.conf").write_text("[crio\n")
    assert f"could not be read: {FOLDER}/30.conf: not understood" in running.install()["refused"]
    bare = sim_host("v100")
    assert installing.install(bare, "crio")["refused"] == "CRI-O is not installed here."
    there = sim_host("v100", files={PACKAGED: CRUN_TABLE})
    assert installing.install(there, "crio")["refused"] == "nvidia-container-runtime is not on PATH."


def test_backups_are_kept_out_of_the_directory_of_which_every_file_counts() -> None:
    files = {PACKAGED: CRUN_TABLE, CONMON: "", f"{FOLDER}/a/deep.conf": KATA, f"{FOLDER}/99-nvidia.conf.bak": ""}
    which = {"nvidia-container-runtime": "/usr/bin/nvidia-container-runtime", CONMON: CONMON}
    made = host(files=files, which=which)
    seen = probe_crio(made)
    assert seen.files.value and [one.path for one in seen.files.value] == [
        PACKAGED, f"{FOLDER}/99-nvidia.conf.bak", f"{FOLDER}/a/deep.conf",
    ]  # fmt: skip
    (edit,) = crio.plan(made, gather(made), Wish()).edits
    assert (edit.path, edit.aside) == (OURS, "/etc/crio")


def test_a_closed_directory_is_unknown_and_options_say_where_the_files_are() -> None:
    closed = probe_crio(host(files={PACKAGED: denied()}))
    assert closed.files.unknown
    gone = probe_crio(host(files={PACKAGED: CRUN_TABLE}, links={f"{FOLDER}/20.conf": "/srv/gone"}))
    assert gone.files.unknown == "it is a link to what is not there"
    line = "/usr/bin/crio\0--config-dir\0/srv/d\0--config=/srv/c\0--listen=/srv/s\0"
    proc = {"/proc/7/cmdline": line, "/proc/7/stat": "7 (crio) S 1 " + "0 " * 17 + "1000 0 0\n", "/srv/d/a": CRUN_TABLE}
    answer = {"unix:///srv/s": {"/config": CRUN_TABLE}}
    seen = probe_crio(host(files=proc, peers={"unix:///var/run/crio/crio.sock": 7}, sockets=answer))
    assert (seen.folder.value, seen.socket.value) == ("/srv/d", "/srv/s")
    assert seen.daemon.value and seen.daemon.value.default_runtime == "crun"


@pytest.mark.parametrize(
    "raw",
    [b"[crio", b"crio = 3\n", b"[crio]\nruntime = []\n", b"[crio.runtime]\nruntimes = 1\n", b"\xff", b"[a." * 2000],
)
def test_what_is_no_file_of_crio_is_not_edited(raw: bytes) -> None:
    with pytest.raises(NotAccepted):
        register(raw, "nvidia", ENTRY, False, False)


def test_a_registration_is_the_same_the_second_time_and_hides_what_may_be_a_secret() -> None:
    secret = (
        b'[crio.runtime.runtimes.runc]\nmonitor_env = ["HTTP_PROXY=http://u:hunter2@p"]\n'
        b'[crio.image]\nauth_token = "hunter2"\n'
    )
    once = register(secret, "nvidia", ENTRY, True, False)
    assert register(once, "nvidia", ENTRY, True, False) == once
    runtime = b'\n[crio.runtime]\ndefault_runtime = "nvidia"\n'
    entry = b"".join(f'{key} = "{value}"\n'.encode() for key, value in ENTRY.items())
    assert once == secret + runtime + b"\n[crio.runtime.runtimes.nvidia]\n" + entry
    assert "hunter2" not in diff(OURS, secret, once) and CONMON in diff(OURS, None, once)
    with pytest.raises(Differs):
        register(once, "nvidia", {**ENTRY, "runtime_path": "/other"}, False, False)


def test_a_stand_in_reloads_as_the_documents_say(crio_host: Callable[..., Running]) -> None:
    running = crio_host()
    tables = {"gone": "/not/there", "here": "/bin/true"}
    told = "".join(f'[crio.runtime.runtimes.{name}]\nruntime_path = "{path}"\n' for name, path in tables.items())
    running.host.path(OURS).write_text(told)
    os.kill(running.process.pid, signal.SIGHUP)
    assert until(lambda: "here" in running.config().runtimes)
    assert list(running.config().runtimes) == ["crun", "here"]
