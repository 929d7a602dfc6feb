"""install-runtime on a real dockerd: registered without a restart, verified by asking, else put back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from installing import MIXTURE
from jsonschema import validate
from simhost import Dockerd, Done, SimHost, Toolkit, import_image, until
from simhost.held import held, let_go, send
from simhost.process import PATIENCE

SCHEMAS = Path(__file__).parents[1] / "data" / "schemas"
COUNT = "trap exit TERM; while :; do sleep 1; done"


@pytest.fixture
def ready(
    toolkit: Toolkit, new_dockerd: Callable[..., Dockerd], sim_host: Callable[..., SimHost]
) -> Callable[..., Any]:
    """`ready(config=…, flags=…)` gives a host with the toolkit, and its Docker that does not know of it yet."""

    def make(**options: Any) -> tuple[SimHost, Dockerd]:
        toolkit.install("v100")
        daemon = new_dockerd(path=[toolkit.directory], **options)
        return sim_host("v100", toolkit=toolkit, dockerd=daemon), daemon

    return make


def install(host: SimHost, *options: str) -> Done:
    done = host.gpuctl("install-runtime", "--json", *options)
    validate(done.json, json.loads((SCHEMAS / "install-runtime.schema.json").read_text()))
    assert "Traceback" not in done.err
    return done


def rollback(host: SimHost, *options: str) -> Done:
    done = host.gpuctl("rollback", "--json", *options)
    validate(done.json, json.loads((SCHEMAS / "rollback.schema.json").read_text()))
    return done


def runtimes(daemon: Dockerd) -> dict[str, Any]:
    listed: dict[str, Any] = json.loads(daemon.docker("info", "--format", "{{json .Runtimes}}").out)
    return listed


def everything(daemon: Dockerd) -> dict[str, tuple[int, int, bytes]]:
    """Inode, time of modification and content of daemon.json and all that stands beside it."""
    found = daemon.config.parent.glob("*daemon.json*")
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def test_the_runtime_is_registered_and_a_running_container_lives_on(
    ready: Callable[..., Any], toolkit: Toolkit
) -> None:
    host, daemon = ready(config='{"debug": true}\n')
    import_image(daemon)
    daemon.docker("run", "-d", "--name=old", "--network=none", "nvidia/cuda:10.1-base", "sh", "-c", COUNT)
    before = daemon.docker("inspect", "--format={{.State.Pid}} {{.State.StartedAt}}", "old").out
    done = install(host, "--set-default")
    assert done.code == 0, done.err
    told = ("changed", "reloaded", "verified", "restarted", "dry_run", "error")
    assert [done.json[key] for key in told] == [True, True, True, False, False, None]
    assert done.json["config"] == str(daemon.config)
    assert Path(done.json["backup"]).read_text() == '{"debug": true}\n'
    assert runtimes(daemon)["nvidia"] == {"path": toolkit.runtime}
    assert daemon.docker("info", "--format", "{{.DefaultRuntime}}").out == "nvidia\n"
    assert daemon.docker("inspect", "--format={{.State.Pid}} {{.State.StartedAt}}", "old").out == before

    seen = everything(daemon)
    log = daemon.log.read_text()
    again = install(host, "--set-default")
    told = ("changed", "backup", "diff", "reloaded", "verified", "steps")
    assert [again.json[key] for key in told] == [False, None, "", False, True, []]
    assert (again.code, everything(daemon)) == (0, seen)
    assert daemon.log.read_text().count("Got signal to reload") == log.count("Got signal to reload")


def test_a_dry_run_shows_the_diff_and_the_steps_and_changes_nothing(ready: Callable[..., Any]) -> None:
    host, daemon = ready(config='{"labels": ["token=hunter2"], "debug": true}\n')
    seen = everything(daemon)
    done = install(host, "--dry-run")
    assert (done.code, done.json["changed"], done.json["dry_run"]) == (0, True, True)
    assert [step["disturbs"] for step in done.json["steps"]] == ["nothing", "nothing"]
    text = host.gpuctl("install-runtime", "--dry-run")
    assert '"nvidia"' in text.out and "would write" in text.out
    assert "hunter2" not in done.out + text.out
    assert everything(daemon) == seen


def test_what_dockerd_accepts_is_accepted_and_taken_up(ready: Callable[..., Any]) -> None:
    host, daemon = ready()
    texts = ("", " \n", "null\n", '{"runtimes": null}', '{\r\n  "debug": true\r\n}\r\n')
    for number, text in enumerate(texts):
        daemon.config.write_text(text, newline="")
        done = install(host, f"--name=gpu-{number}")
        assert (done.code, done.json["verified"]) == (0, True), (text, done.err)
        assert f"gpu-{number}" in runtimes(daemon)


def test_no_file_at_all_becomes_one_and_rollback_removes_it(ready: Callable[..., Any]) -> None:
    host, daemon = ready()
    daemon.config.unlink()
    done = install(host)
    assert (done.code, done.json["verified"]) == (0, True), done.err
    assert done.json["backup"].endswith(".absent")
    undone = rollback(host)
    assert (undone.code, undone.json["changed"]) == (0, True), undone.err
    assert not daemon.config.exists()
    assert undone.json["restart_needed"] and "Docker keeps the runtime nvidia until it is restarted" in undone.out


def test_a_second_uninstall_tells_what_docker_keeps_until_its_restart_and_tells_docker_nothing(
    ready: Callable[..., Any],
) -> None:
    host, daemon = ready(config='{"debug": true}\n')
    install(host)
    first = host.gpuctl("uninstall-runtime", "--json")
    reloads = daemon.log.read_text().count("Got signal to reload")
    again = host.gpuctl("uninstall-runtime", "--json")
    said = [(done.code, done.json["restart_needed"], done.json["notes"]) for done in (first, again)]
    assert said[0] == said[1] == (0, True, ["Docker keeps the runtime nvidia until it is restarted."])
    assert (again.json["changed"], again.json["verified"], again.json["steps"]) == (False, False, [])
    assert daemon.log.read_text().count("Got signal to reload") == reloads
    daemon.restart()
    last = host.gpuctl("uninstall-runtime")
    assert (last.code, last.out) == (0, f"unchanged: {daemon.config}\nDocker confirms what it says.\n")


@pytest.mark.parametrize("text", ['\ufeff{"debug": true}\n', '{"mtu": 1.5e3}\n'])
def test_a_file_that_this_docker_does_not_take_up_is_put_back(ready: Callable[..., Any], text: str) -> None:
    host, daemon = ready()
    daemon.config.write_text(text)
    before = daemon.config.stat()
    done = install(host, "--timeout=1")
    assert done.code == 4
    assert "Docker has not taken the file up, 1 s after it was told." in done.json["error"]
    assert (done.json["changed"], done.json["backup"], done.json["verified"]) == (False, None, False)
    assert [(name, raw) for name, (_, _, raw) in everything(daemon).items()] == [("daemon.json", text.encode())]
    assert (daemon.config.stat().st_mtime_ns, daemon.config.stat().st_mode) == (before.st_mtime_ns, before.st_mode)
    assert daemon.answers()


def written(host: SimHost, daemon: Dockerd, *options: str) -> subprocess.Popen[bytes]:
    """A run that has written the file, and has yet to tell dockerd of it."""
    argv = [sys.executable, "-m", "gpuctl", "install-runtime", "--json", *options]
    run = held(host, "kill", 1, argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert b"nvidia" in daemon.config.read_bytes()
    return run


def test_a_daemon_that_hangs_gets_its_old_file_back(ready: Callable[..., Any]) -> None:
    host, daemon = ready()
    run = written(host, daemon, "--timeout=1")
    os.kill(daemon.pid, signal.SIGSTOP)
    let_go(run)
    out, _ = run.communicate(timeout=PATIENCE)
    os.kill(daemon.pid, signal.SIGCONT)
    assert (run.returncode, daemon.config.read_text()) == (4, "{}\n")
    assert "Docker does not answer" in json.loads(out)["error"]
    assert "is as it was before" in json.loads(out)["error"]
    assert "nvidia" not in runtimes(daemon)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"no-such-key": 1%s}\n', "Docker 20.10.24 does not know `no-such-key`"),
        ('{"Debug": true%s}\n', "Docker 20.10.24 does not know `Debug` (it is spelt `debug`)"),
        ('{"debug": "yes"%s}\n', "`debug` must be of kind boolean and is of kind string"),
    ],
)
def test_what_docker_is_known_to_refuse_is_said_at_once_and_never_confirmed(
    ready: Callable[..., Any], toolkit: Toolkit, text: str, why: str
) -> None:
    host, daemon = ready()
    assert install(host).code == 0
    for rest in ("", f', "runtimes": {{"nvidia": {{"path": "{toolkit.runtime}"}}}}'):
        daemon.config.write_text(text % rest)
        for options in ((), ("--dry-run",), ("--no-reload",)):
            done = install(host, *options)
            assert (done.code, done.json["verified"]) == (1, False)
            assert done.json["error"] == f"Docker would not take {daemon.config}: {why}. Nothing was changed."
    assert daemon.config.read_text() == text % rest
    undone = host.gpuctl("rollback", "--json")
    assert undone.code and not undone.json["verified"] and daemon.log.read_text().count("Got signal to reload") == 1


def test_a_signal_puts_the_old_file_back(ready: Callable[..., Any]) -> None:
    """It comes once the file is written; what Docker has to take up, also again, it never does."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        host, daemon = ready()
        daemon.config.write_text('{"mtu": 1.5e3}\n')
        run = written(host, daemon, "--timeout=1")
        send(run, number)
        let_go(run)
        out, _ = run.communicate(timeout=PATIENCE)
        assert (run.returncode, daemon.config.read_text()) == (4, '{"mtu": 1.5e3}\n')
        assert json.loads(out)["error"].startswith("Interrupted.")


def test_another_programs_edit_is_never_overwritten_by_putting_back(ready: Callable[..., Any]) -> None:
    host, daemon = ready()
    run = written(host, daemon, "--timeout=1")
    daemon.config.write_text('{"no-such-key": 1}\n')
    let_go(run)
    out, _ = run.communicate(timeout=PATIENCE)
    told = json.loads(out)
    assert (run.returncode, daemon.config.read_text()) == (5, '{"no-such-key": 1}\n')
    assert told["backup"] in told["error"] and Path(told["backup"]).read_text() == "{}\n"


def test_a_run_killed_before_it_told_the_daemon_is_completed_by_the_next(ready: Callable[..., Any]) -> None:
    host, daemon = ready()
    run = written(host, daemon)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert "nvidia" not in runtimes(daemon)
    done = install(host)
    assert [done.json[key] for key in ("changed", "reloaded", "verified")] == [False, True, True]
    assert "nvidia" in runtimes(daemon)
    assert rollback(host).code == 0 and daemon.config.read_text() == "{}\n"


def test_of_fifty_runs_side_by_side_one_changes_the_file_and_all_succeed(ready: Callable[..., Any]) -> None:
    """Eight at a time: of fifty on a slow machine many would not hear from Docker as soon as gpuctl wants to."""
    host, daemon = ready(config='{"debug": true}\n')
    done = host.run([sys.executable, "-c", MIXTURE, json.dumps([["install-runtime"]]), "50", "8"])
    assert done.json == {"install-runtime": [0] * 50}, done.err
    assert json.loads(daemon.config.read_text())["runtimes"].keys() == {"nvidia"}
    assert sorted(name.rpartition(".")[2] for name in everything(daemon)) == ["bak", "json"]
    assert daemon.log.read_text().count("Got signal to reload") == 1


def test_an_option_of_dockerd_that_would_clash_is_seen_before_writing(ready: Callable[..., Any]) -> None:
    host, daemon = ready(flags=["--add-runtime=other=/bin/true"])
    seen = everything(daemon)
    done = install(host)
    assert (done.code, everything(daemon)) == (1, seen)
    assert "dockerd gets runtimes on its command line" in done.json["error"]


def test_another_entry_is_refused_with_its_place_and_replaced_by_force(ready: Callable[..., Any]) -> None:
    host, daemon = ready(config='{"runtimes": {"nvidia": {"path": "/bin/false"}}}\n')
    seen = everything(daemon)
    done = install(host)
    assert (done.code, everything(daemon)) == (1, seen)
    place = f"{daemon.config}:1:25: the runtime nvidia is registered in another way"
    assert done.json["error"].startswith(place + ': {"path": "/bin/false"}. Use --force')
    forced = install(host, "--force")
    assert (forced.code, forced.json["verified"]) == (0, True), forced.err


def test_the_bare_name_that_nvidia_ctk_writes_is_not_another_entry(ready: Callable[..., Any]) -> None:
    config = '{"runtimes": {"nvidia": {"args": [], "path": "nvidia-container-runtime"}}}\n'
    host, _ = ready(config=config)
    done = install(host)
    assert (done.code, done.json["changed"], done.json["verified"]) == (0, False, True), done.err


def test_a_program_that_is_not_there_or_not_executable_is_refused(
    sim_host: Callable[..., SimHost], new_dockerd: Callable[..., Dockerd]
) -> None:
    daemon = new_dockerd()
    host = sim_host("v100", dockerd=daemon, files={"/opt/runtime": "#!/bin/sh\n"})
    host.path("/opt/runtime").chmod(0o644)
    missing, plain = install(host), install(host, "--runtime-path=/opt/runtime")
    assert (missing.code, plain.code, daemon.config.read_text()) == (1, 1, "{}\n")
    assert "nvidia-container-runtime is not on PATH." in missing.json["error"]
    assert missing.json["remedy"]["commands"] == ["gpuctl install-runtime --install"]
    assert "apt-get install -y nvidia-container-toolkit" in missing.json["remedy"]["by_hand"]
    assert "/opt/runtime is not an executable program." in plain.json["error"]


def test_a_file_that_this_docker_does_not_read_is_only_written(ready: Callable[..., Any], tmp_path: Path) -> None:
    host, daemon = ready()
    other = daemon.config.with_name("other.json")
    done = install(host, f"--config={other}")
    told = ("changed", "reloaded", "verified")
    assert [done.code, *(done.json[key] for key in told)] == [0, True, False, False]
    assert f"reads {daemon.config}, not this file" in done.json["notes"][0]
    unread = install(host, "--no-reload")
    assert [unread.code, *(unread.json[key] for key in told)] == [0, True, False, False]
    assert "nvidia" not in runtimes(daemon)


def test_without_docker_or_with_one_elsewhere_it_says_so(sim_host: Callable[..., SimHost]) -> None:
    engines = [f"/usr/{place}" for place in ("sbin/dockerd", "bin/docker", "bin/containerd", "bin/podman")]
    without = install(sim_host("v100", absent=engines))
    assert (without.code, without.json["error"]) == (1, "Docker is not installed here. Nothing was changed.")
    elsewhere = install(sim_host("v100", env={"DOCKER_HOST": "tcp://192.0.2.1:2375"}))
    assert elsewhere.code in (1, 3) and "Nothing was changed." in elsewhere.json["error"]
    text = sim_host("v100", env={"DOCKER_HOST": "tcp://192.0.2.1:2375"}).gpuctl("install-runtime")
    assert text.out == "" and text.err.startswith("gpuctl install-runtime: ")


def test_a_daemon_that_does_not_answer_beforehand_is_not_touched(ready: Callable[..., Any]) -> None:
    host, daemon = ready()
    seen = everything(daemon)
    os.kill(daemon.pid, signal.SIGSTOP)
    done = install(host)
    os.kill(daemon.pid, signal.SIGCONT)
    assert (done.code, everything(daemon)) == (3, seen)
    assert "Docker could not be looked at" in done.json["error"]


SYSTEMCTL = """#!/bin/sh
echo "$*" >> {root}/systemctl.log
case "$*" in
  show*) printf "Id=docker.service\\nLoadState=loaded\\nActiveState=active\\nMainPID=$(cat {root}/docker.pid)\\n" ;;
  *reload*) kill -HUP "$(cat {root}/docker.pid)" ;;
  *restart*) touch {root}/restart; while [ -e {root}/restart ]; do sleep 0.05; done ;;
esac
"""


@pytest.fixture
def on_systemd(toolkit: Toolkit, sim_host: Callable[..., SimHost]) -> Callable[[Dockerd], SimHost]:
    """`on_systemd(daemon)` gives a host with the toolkit, whose systemd runs that Docker."""

    def make(daemon: Dockerd) -> SimHost:
        commands = {"systemctl": SYSTEMCTL.format(root=daemon.root)}
        files = {"/run/systemd/system/x": ""}
        return sim_host("v100", toolkit=toolkit, dockerd=daemon, commands=commands, files=files)

    return make


def test_systemd_reloads_the_daemon_that_it_runs_and_restarts_it_only_when_asked(
    toolkit: Toolkit, new_dockerd: Callable[..., Dockerd], on_systemd: Callable[[Dockerd], SimHost]
) -> None:
    daemon = new_dockerd(path=[toolkit.directory])
    import_image(daemon)
    daemon.docker("run", "-d", "--network=none", "nvidia/cuda:10.1-base", "sh", "-c", COUNT)
    toolkit.install("v100")
    host = on_systemd(daemon)
    done = install(host)
    assert [done.code, *(done.json[key] for key in ("verified", "restarted", "restart_needed"))] == [
        0,
        True,
        False,
        True,
    ]
    assert "--no-ask-password reload docker.service" in (daemon.root / "systemctl.log").read_text()
    assert done.json["remedy"]["disturbs"] == "running containers"
    assert host.gpuctl("install-runtime").out.endswith("Next: gpuctl smoke --runtime nvidia\n")

    planned = install(host, "--restart", "--dry-run")
    assert "which stops 1 running containers" in planned.json["steps"][-1]["text"]
    with ThreadPoolExecutor() as pool:
        pool.submit(_restart_when_asked, daemon)
        restarted = install(host, "--restart")
    assert [restarted.json[key] for key in ("changed", "restarted", "restart_needed")] == [False, True, False]
    assert install(host, "--restart").json["restarted"] is False
    assert host.gpuctl("install-runtime").out.endswith("Next: gpuctl smoke\n")


def test_docker_is_not_restarted_on_a_file_that_would_keep_it_from_starting(
    toolkit: Toolkit, new_dockerd: Callable[..., Dockerd], on_systemd: Callable[[Dockerd], SimHost]
) -> None:
    daemon = new_dockerd(path=[toolkit.directory])
    toolkit.install("v100")
    host = on_systemd(daemon)
    assert install(host).json["restart_needed"]
    rejected = '{"mtu": 1.5e3}\n'
    daemon.config.write_text(rejected)
    changed = install(host, "--restart", "--timeout=1")
    assert [changed.code, changed.json["restarted"], daemon.config.read_text()] == [4, False, rejected]
    as_wished = rejected.replace("}", f', "runtimes": {{"nvidia": {{"path": "{toolkit.runtime}"}}}}}}')
    daemon.config.write_text(as_wished)
    unchanged = install(host, "--restart", "--timeout=1")
    assert [unchanged.code, unchanged.json["restarted"], daemon.config.read_text()] == [1, False, as_wished]
    assert "Docker has not taken the file up" in unchanged.json["error"]
    assert " restart " not in (daemon.root / "systemctl.log").read_text() and daemon.answers()


STOPPED = """#!/bin/sh
printf "Id=docker.service\\nLoadState=loaded\\nActiveState=inactive\\nMainPID=0\\n"
"""


def test_a_docker_that_systemd_has_stopped_reads_the_file_when_it_starts(
    toolkit: Toolkit, sim_host: Callable[..., SimHost]
) -> None:
    toolkit.install("v100")
    files = {"/run/systemd/system/x": "", "/etc/docker/daemon.json": "{}\n"}
    host = sim_host("v100", toolkit=toolkit, commands={"systemctl": STOPPED}, files=files)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(host.path("/run/docker.sock")))
    done = install(host)
    assert [done.code, *(done.json[key] for key in ("changed", "reloaded", "verified"))] == [0, True, False, False]
    assert "Nothing was verified" in done.json["notes"][0]
    assert "nvidia" in json.loads(host.path("/etc/docker/daemon.json").read_text())["runtimes"]


def _restart_when_asked(daemon: Dockerd) -> None:
    asked = daemon.root / "restart"
    assert until(asked.exists)
    daemon.restart()
    asked.unlink()


def test_a_reload_that_docker_refuses_is_no_success_although_it_knew_the_runtime_before(
    ready: Callable[..., Any],
) -> None:
    host, daemon = ready(config="{}\n")
    assert install(host).code == 0
    daemon.config.write_text('{"mtu": 1.5e3}\n')
    done = install(host, "--timeout", "1")
    assert (done.code, done.json["verified"], done.json["reloaded"]) == (4, False, False)
    assert "has not taken the file up" in done.json["error"]
    assert daemon.config.read_text() == '{"mtu": 1.5e3}\n'


def test_docker_is_not_restarted_where_that_cannot_help(
    toolkit: Toolkit, new_dockerd: Callable[..., Dockerd], on_systemd: Callable[[Dockerd], SimHost]
) -> None:
    daemon = new_dockerd()  # its PATH lacks the hook
    toolkit.install("v100")
    host = on_systemd(daemon)
    for _ in range(2):
        done = install(host, "--restart")
        assert [done.code, done.json["restarted"], done.json["restart_needed"]] == [0, False, False]
        assert "does not find nvidia-container-runtime-hook on its PATH" in done.json["notes"][-1]
        assert "ln -s" in done.json["remedy"]["commands"][0]
    assert " restart " not in (daemon.root / "systemctl.log").read_text()


@pytest.mark.parametrize("path", ["/x\\u0000y", "/x\\ud800"])
def test_an_entry_whose_path_no_file_can_have_is_only_another_entry(ready: Callable[..., Any], path: str) -> None:
    host, daemon = ready()
    daemon.config.write_text(f'{{"runtimes": {{"nvidia": {{"path": "{path}"}}}}}}\n')
    refused = install(host)
    assert (refused.code, "--force" in str(refused.json["error"])) == (1, True)
    assert install(host, "--force").code == 0


def test_a_directory_in_the_files_place_is_called_one(ready: Callable[..., Any], tmp_path: Path) -> None:
    host, _ = ready(config="{}\n")
    done = install(host, "--config", str(tmp_path), "--no-reload")
    assert (done.code, "is not a regular file" in str(done.json["error"])) == (1, True)
