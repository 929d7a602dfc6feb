"""`gpuctl migrate run`: the modern form of docker run commands; what it does not own stays to the letter."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hosts import host
from hosts_v100 import docker, v100
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from simhost import warm

from gpuctl.migrate.compose.target import ComposeTarget
from gpuctl.migrate.gpus import docker_refuses, gpus_value, parse_gpus
from gpuctl.migrate.here import compose_target_here, target_here
from gpuctl.migrate.inspected import words_of
from gpuctl.migrate.migration import Gpus, Migration, Target
from gpuctl.migrate.run import line_of, migrated, migrated_to_unit
from gpuctl.shell import NotShell

ROOT = Path(__file__).parents[1]
KINDS = [json.loads(line) for line in (ROOT / "tests/data/migrated_runs.jsonl").read_text().splitlines()]
SCHEMA = json.loads((ROOT / "data/schemas/migrate-run.schema.json").read_text())


def modern(text: str, target: Target = Target.DOCKER) -> Migration:
    return migrated(text, lambda engine: Target.PODMAN if engine == "podman" else target)


# Commands as people have written them


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["kind"])
def test_a_command_of_old_becomes_the_modern_one_or_is_left_and_said(kind: dict[str, Any]) -> None:
    done = modern(kind["before"])
    assert done.after == (kind["after"] or kind["before"])
    assert bool(done.left) == bool(kind["left"])
    assert all(kind["left"] in left.text + left.why for left in done.left)
    assert all(change.why and change.line for change in done.changes)
    assert modern(done.after).after == done.after


PRIVILEGED = (
    "docker run --gpus all --net=host --privileged=true -it -v /data/:/root aiservice:v01 ./AIservice"
    " -m=0 -c=aiges.toml -u=http://10.1.87.70:6868 -p=guiderAllService -g=gas -s=amharic"
)


def test_the_source_documents_commands_are_modern_and_its_privileges_are_spoken_of() -> None:
    for command in (
        "docker run --gpus all --rm -it -v /root/zck/:/root nvidia-docker-sms5s:v01 ./AIservice -m=0 -s=xats",
        "docker run --gpus '\"device=1,2\"' --rm nvidia/cuda:10.1-base-centos7 nvidia-smi",
    ):
        assert modern(command) == Migration(command, command)
    done = modern(PRIVILEGED)
    assert done.after == PRIVILEGED
    (left,) = done.left
    assert left.text == "--privileged=true"
    assert all(word in left.why for word in ("Resource temporarily unavailable", "--pids-limit", "--ulimit", "seccomp"))


@pytest.mark.parametrize(
    ("target", "after"),
    [
        ("docker", "docker run -it --gpus '\"device=0,2\"' app"),
        ("docker-18.09", "docker run -it --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=0,2 app"),
        ("docker-cdi", "docker run -it --device nvidia.com/gpu=0 --device nvidia.com/gpu=2 app"),
        ("podman", "podman run -it --device nvidia.com/gpu=0 --device nvidia.com/gpu=2 app"),
    ],
)
def test_each_target_asks_for_the_same_gpus_in_its_way(target: str, after: str) -> None:
    for before in (
        "docker run -it --device /dev/nvidia0 --device /dev/nvidia2 --device /dev/nvidiactl app",
        "docker run -it --gpus '\"device=0,2\"' app",
        "docker run -it --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=0,2 app",
        "docker run -it --device nvidia.com/gpu=0 --device nvidia.com/gpu=2 app",
    ):
        wished = Target(target)
        done = migrated(before, lambda engine, wished=wished: wished)  # type: ignore[misc]
        if before.count("nvidia.com") and target == "docker":
            assert done.after == before  # Docker takes CDI names, too
        else:
            assert done.after == after
            assert migrated(after, lambda engine, wished=wished: wished).after == after  # type: ignore[misc]


def test_a_request_in_the_targets_own_way_may_hold_a_variable() -> None:
    for command, target in (
        ("docker run --gpus $GPUS app", Target.DOCKER),
        ("docker run --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=$GPUS app", Target.DOCKER_18_09),
    ):
        assert modern(command, target) == Migration(command, command)
        with_mount = command.replace(" app", " -v /usr/bin/nvidia-smi:/usr/bin/nvidia-smi app")
        assert modern(with_mount, target).after == command


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("podman run --gpus 2 app", "docker run --gpus device=2 app"),
        ("podman run --device nvidia.com/gpu=all app", "docker run --gpus all app"),
        ("sudo /usr/bin/podman run --gpus all app", "sudo /usr/bin/docker run --gpus all app"),
        ("podman run app", "podman run app"),
    ],
)
def test_podmans_command_for_docker_asks_in_dockers_words(before: str, after: str) -> None:
    assert migrated(before, lambda engine: Target.DOCKER).after == after


def test_podman_is_told_of_options_that_it_does_not_have() -> None:
    done = migrated("docker run --gpus all --link db app", lambda engine: Target.PODMAN)
    assert done.after == "podman run --device nvidia.com/gpu=all --link db app"
    assert [(left.text, left.why) for left in done.left] == [("--link db", "podman has no option --link")]


@pytest.mark.parametrize(
    ("value", "gpus"),
    [
        ("all", Gpus()),
        ("2", Gpus(count=2)),
        ("count=2,driver=nvidia", Gpus(count=2)),
        ('"device=0,2"', Gpus(("0", "2"))),
        ("device=GPU-7d2b9c1e-0000-1111", Gpus(("GPU-7d2b9c1e-0000-1111",))),
        ("device=0:1", Gpus(("0:1",))),
        ("device=all", Gpus()),
        ("all,capabilities=utility", Gpus(capabilities=("utility",))),
        ('"capabilities=compute,utility",device=1', Gpus(("1",), None, ("compute", "utility"))),
    ],
)
def test_gpus_are_read_and_written_as_docker_does(value: str, gpus: Gpus) -> None:
    assert parse_gpus(value) == gpus
    assert parse_gpus(gpus_value(gpus)) == gpus


@pytest.mark.parametrize("value", ["0", "device=0,2", "driver=amd", '"device=0', "", "device=$X", "a=b"])
def test_what_docker_would_not_take_for_nvidias_gpus_is_not_read_as_such(value: str) -> None:
    assert parse_gpus(value) is None


# What it does not own

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).filter(lambda word: "\0" not in word)
VALUES = st.text("abc/:=.,$\"' \\{}*#;|&", min_size=1, max_size=8).filter(lambda word: "nvidia" not in word)
UNOWNED = st.one_of(
    st.sampled_from([["-it"], ["--rm"], ["--init=false"], ["-d"], ["--net=host"], ["-p8080:80"], ["--shm-size", "8g"]]),
    st.tuples(st.sampled_from(["-w", "--name", "--label", "-l", "--entrypoint", "--ulimit"]), VALUES).map(list),
    VALUES.map(lambda value: [f"--env=X{value}"]),
)
OWNED = st.sampled_from(
    [
        ["--device", "/dev/nvidia0"],
        ["--device=/dev/nvidia1:/dev/nvidia1:rwm"],
        ["--device", "/dev/nvidiactl"],
        ["-v", "/usr/bin/nvidia-smi:/usr/bin/nvidia-smi:ro"],
        ["--volume=/usr/lib/nvidia-384:/usr/local/nvidia"],
        ["--volume-driver", "nvidia-docker"],
        ["--runtime=nvidia"],
        ["-e", "NVIDIA_VISIBLE_DEVICES=0"],
    ]
)
COMES = {"--gpus", "all", "device=0", "device=1", '"device=0,1"', "-e", "NVIDIA_DRIVER_CAPABILITIES=all"}


@given(st.lists(st.one_of(UNOWNED, OWNED), max_size=8), st.lists(WORDS, max_size=4))
@example([["--device", "/dev/nvidia0"]], ["--device", "/dev/nvidia0", "a b"])
def test_arguments_that_are_not_its_own_come_out_identical_and_a_second_time_changes_nothing(
    options: list[list[str]], behind: list[str]
) -> None:
    line = shlex.join(["docker", "run", *(word for option in options for word in option), "image", *behind])
    done = modern(line)
    owned = {word for option in options if any("nvidia" in one.lower() for one in option) for word in option}
    unowned = [word for word in shlex.split(line) if word not in owned | COMES]
    assert [word for word in shlex.split(done.after) if word not in owned | COMES] == unowned
    assert shlex.split(done.after)[len(shlex.split(done.after)) - len(behind) :] == behind or not behind
    assert modern(done.after).after == done.after


REQUESTS = st.sampled_from(
    ([], ["--gpus", "all"], ["--gpus=2"], ["--gpus", '"device=0,2"'], ["--device", "nvidia.com/gpu=all"])
)


@given(st.lists(UNOWNED, max_size=6), REQUESTS, st.lists(WORDS, max_size=3))
def test_a_modern_command_comes_out_unchanged(options: list[list[str]], gpus: list[str], behind: list[str]) -> None:
    line = shlex.join(["docker", "run", *gpus, *(word for option in options for word in option), "image", *behind])
    assert modern(line) == Migration(line, line)


@given(st.text(st.sampled_from("docker run--/v\\'\"$`(){}<>|&;#\n\r\t =[]*!~")))
@example("docker run -v a\\\r\n  --device /dev/snd\\\r\n  b\r\n")
@example('$((1+(2)))`a`${x:-\'}"$(b)"')
def test_no_text_gives_a_traceback_and_one_without_gpus_stays_byte_for_byte(text: str) -> None:
    try:
        assert modern(text).after == text
    except NotShell as refused:
        assert refused.line >= 1


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_words_become_the_line_that_a_shell_reads_as_them(words: list[str]) -> None:
    assert shlex.split(line_of(words)) == words


# Quadlet


def test_a_unit_has_the_keys_of_podmans_options_and_podman_args_for_the_rest() -> None:
    options = "-d --rm -it --name web --restart unless-stopped -p 80:80 -v /a:/b:ro -e 'C=d e' -e E --ipc=host --init"
    done = migrated_to_unit(f"docker run {options} --device /dev/nvidia0 app sh -c 'echo $X 100%'")
    assert done.after == (
        "[Container]\nImage=app\nContainerName=web\nPublishPort=80:80\nVolume=/a:/b:ro\n"
        'Environment="C=d e"\nPodmanArgs=--env E\nPodmanArgs=--ipc host\nRunInit=true\nAddDevice=nvidia.com/gpu=0\n'
        'Exec=sh -c "echo $$X 100%%"\n\n[Service]\nRestart=always\n\n[Install]\nWantedBy=default.target\n'
    )
    assert done.left == ()
    gone = {change.old for change in done.changes if not change.new}
    assert {"--interactive", "--tty", "--detach", "--rm"} <= gone


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("docker run --gpus all -v $HOME:/h app", "$HOME:/h"),
        ("docker run --gpus all -v ~/a:/h app", "~/a:/h"),
        ("docker run --gpus all $APP_IMAGE", "$APP_IMAGE"),
        ("docker run --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=$X app", "comes from a variable"),
        ("docker run --gpus all --link db app", "--link"),
    ],
)
def test_what_only_a_shell_can_finish_becomes_no_unit(command: str, why: str) -> None:
    done = migrated_to_unit(command)
    assert done.after == command
    assert any(why in left.why for left in done.left)


# Of a running container


def test_a_containers_command_leaves_to_the_image_what_is_the_images() -> None:
    image = {
        "Config": {"Env": ["PATH=/bin"], "Cmd": ["sh"], "Entrypoint": ["/e"], "WorkingDir": "/w", "Labels": {"a": "b"}}
    }
    config = {
        **{"Env": ["PATH=/bin", "K=v w"], "Cmd": ["sh"], "Entrypoint": ["/e"], "WorkingDir": "/w", "Image": "app:1"},
        **{"Labels": {"a": "b", "c": "d"}, "Tty": True},
    }
    asked = {
        "Binds": ["/usr/lib/nvidia-384:/usr/lib/nvidia"],
        "Devices": [{"PathOnHost": "/dev/nvidia0", "PathInContainer": "/dev/nvidia0", "CgroupPermissions": "rwm"}],
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "53/udp": [{"HostPort": "53"}]},
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
        "ShmSize": 67108864,
        "NetworkMode": "default",
        "LogConfig": {"Type": "json-file", "Config": {}},
        "MemorySwap": -1,
        "NanoCpus": 1500000000,
        "Ulimits": [{"Name": "memlock", "Soft": -1, "Hard": -1}],
        "Privileged": True,
        "SecurityOpt": ["label=disable"],
        "Runtime": "runc",
    }
    words = words_of({"Name": "/web", "Config": config, "HostConfig": asked}, image)
    assert words[:6] == ("docker", "run", "--detach", "--name", "web", "--tty")
    assert words[-1] == "app:1"
    assert words_of({"Name": "/web", "Config": {**config, "Cmd": ["x"]}, "HostConfig": asked}, image)[-2:] == (
        "app:1",
        "x",
    )
    line = line_of(words)
    for option in (
        "--env 'K=v w'",
        "--label c=d",
        "--publish 8080:80",
        "--publish 53:53/udp",
        "--restart on-failure:3",
    ):
        assert option in line
    for option in ("--memory-swap -1", "--cpus 1.5", "--ulimit memlock=-1:-1", "--device /dev/nvidia0 "):
        assert option in line
    assert not any(
        word in line for word in ("PATH", "--workdir", "--entrypoint", "--shm-size", "label=disable", "runc")
    )
    assert modern(line).after == line.replace(
        "--device /dev/nvidia0", "--gpus device=0 -e NVIDIA_DRIVER_CAPABILITIES=all"
    ).replace(" --volume /usr/lib/nvidia-384:/usr/lib/nvidia", "").replace(" --privileged", "")


# The command itself


def run(*argv: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
    surroundings = {**os.environ, "DOCKER_HOST": "unix:///nonexistent", **env}
    return warm.run("migrate", "run", *argv, stdin=stdin, env=surroundings)


SCRIPT = b"#!/bin/sh\r\n\techo 'it''s'  # \xc3\xa4\r\nNV_GPU=1 nvidia-docker run \\\r\n\t-v \"$PWD\":/w app\r\n\r\n"


def test_a_script_comes_out_byte_for_byte_but_for_what_changes(tmp_path: Path) -> None:
    file = tmp_path / "start.sh"
    file.write_bytes(SCRIPT)
    wished = SCRIPT.replace(b"NV_GPU=1 nvidia-docker run", b"docker run --gpus device=1")
    for done in (run(str(file)), run("-", stdin=SCRIPT), run(stdin=SCRIPT), run(str(file), LC_ALL="C")):
        assert (done.returncode, done.stdout) == (0, wished)
        assert b"line 3: - NV_GPU=1" in done.stderr
    assert file.read_bytes() == SCRIPT
    shown = run("--diff", str(file))
    assert shown.returncode == 0
    assert b"+docker run --gpus device=1" in shown.stdout and b"echo" not in shown.stdout.replace(b"\n \techo", b"")


def test_words_a_line_and_a_left_piece_have_their_exit_codes_and_json_conforms() -> None:
    words = run("--", "docker", "run", "--device", "/dev/nvidia0", "app", "a b", "$X")
    assert (words.returncode, words.stdout) == (0, b"docker run --gpus device=0 app 'a b' '$X'\n")
    line = run('docker run --device /dev/nvidia0 app "a  b" $X')
    assert (line.returncode, line.stdout) == (0, b'docker run --gpus device=0 app "a  b" $X\n')
    same = run("--", "docker", "run", "--gpus", "all", "app")
    assert (same.returncode, same.stdout, same.stderr) == (0, b"docker run --gpus all app\n", b"unchanged\n")
    left = run("--json", "docker run --device /dev/nvidia$N app")
    assert left.returncode == 1
    document = json.loads(left.stdout)
    Draft202012Validator(SCHEMA).validate(document)
    assert (document["changed"], document["left"][0]["line"]) == (False, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"docker run 'x\n", b"line 1: this quote is not closed"),
        (b'a\n\ndocker run "x\n', b"line 3: this quote is not closed"),
        (b"id=$(docker run x\n", b"line 1: this command substitution is not closed"),
        (b"a\nb\0c\n", b"line 2: it is no text"),
        (b"a\n\xff\xfe\n", b"line 2: these bytes are no UTF-8"),
        (b"", b"there is nothing in it"),
        (b"docker run x\n" * 800_000, b"longer than 1 MiB"),
    ],
    ids=["quote", "later", "substitution", "binary", "encoding", "empty", "long"],
)
def test_bad_input_is_one_sentence_with_its_line_and_nothing_on_stdout(
    tmp_path: Path, content: bytes, words: bytes
) -> None:
    file = tmp_path / "bad.sh"
    file.write_bytes(content)
    done = run(str(file))
    assert (done.returncode, done.stdout) == (2, b"")
    assert words in b" ".join(done.stderr.split()) and b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "argv", [("ls -l",), ("--", "docker", "ps"), ("/nonexistent.sh",), ("--diff", "--json", "a b")]
)
def test_what_starts_no_container_is_wrong_usage(argv: tuple[str, ...]) -> None:
    done = run(*argv)
    assert (done.returncode, done.stdout) == (2, b"")


CUT_OFF = {
    "docker run": "no image behind its options",
    "docker run --gpus all": "no image behind its options",
    "podman create -v /a:/b": "no image behind its options",
    "nvidia-docker run --": "no image behind its options",
    "docker container run --rm ''": "no image behind its options",
    "docker run -it --gpus": "no value behind the option --gpus",
    "docker run --help": "give a docker run",
}


@pytest.mark.parametrize("line", CUT_OFF)
def test_a_command_that_its_engine_refuses_is_wrong_usage_and_in_a_script_said(line: str, tmp_path: Path) -> None:
    done = run(line)
    assert (done.returncode, done.stdout) == (2, b"") and CUT_OFF[line] in " ".join(done.stderr.decode().split())
    script = tmp_path / "start.sh"
    script.write_text(f"#!/bin/sh\n{line}\n  --gpus all app\n")
    said = run("--json", str(script))
    if "--help" not in line:
        (left,) = json.loads(said.stdout)["left"]
        assert (said.returncode, left["line"], CUT_OFF[line] in left["why"]) == (1, 2, True)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("docker run --gpu all app", "does not know the option --gpu"),
        ("docker run --gpus foo app", "Docker refuses --gpus foo"),
        ("docker run --gpus all,count=2 app", "Docker refuses"),
    ],
)
def test_a_request_that_is_none_is_left_and_said(line: str, words: str) -> None:
    done = run(line)
    assert (done.returncode, done.stdout.decode()) == (1, f"{line}\n") and words in done.stderr.decode()


GPUS = (
    "",
    "all",
    "foo",
    "2",
    "-1",
    "1.5",
    "device=",
    '"device=0,1"',
    "device=0,1",
    "count=x",
    "count=2,count=3",
    "ALL",
)
MORE_GPUS = (
    "driver=amd",
    "bogus=1",
    "all,bogus",
    '"all',
    'a"b',
    "device=0,device=1",
    " all",
    "1e3",
    "9" * 18,
    "9" * 20,
)


def test_what_docker_refuses_behind_gpus_is_what_its_client_does() -> None:
    for value in (*GPUS, *MORE_GPUS):
        argv = ["docker", "--host=unix:///nonexistent", "run", "--gpus", value, "app"]
        said = subprocess.run(argv, capture_output=True, text=True, timeout=300).stderr
        assert docker_refuses(value) == ("invalid argument" in said), (value, said)


def test_a_script_is_written_with_a_backup_once_and_only_what_is_gpuctls_in_it(tmp_path: Path) -> None:
    script = tmp_path / "start.sh"
    script.write_bytes(SCRIPT)
    script.chmod(0o750)
    done = run("--write", str(script))
    new = script.read_bytes()
    backup = done.stdout.decode().partition("what it was: ")[2].strip()
    assert (done.returncode, Path(backup).read_bytes()) == (0, SCRIPT)
    assert new == SCRIPT.replace(b"NV_GPU=1 nvidia-docker run \\\r\n", b"docker run --gpus device=1 \\\r\n")
    assert script.stat().st_mode & 0o777 == 0o750
    again = run("--write", "--json", str(script))
    assert (again.returncode, json.loads(again.stdout)["backup"]) == (0, None)
    Draft202012Validator(SCHEMA).validate(json.loads(again.stdout))
    assert (script.read_bytes(), len(list(tmp_path.iterdir()))) == (new, 2)


@pytest.mark.parametrize(
    "argv",
    [
        ("--", "docker", "run", "app"),
        ("docker run app",),
        ("-",),
        (),
        ("/nowhere.sh",),
        ("--target=quadlet", "start.sh"),
    ],
)
def test_what_is_no_script_is_not_written(argv: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "start.sh").write_bytes(SCRIPT)
    done = run("--write", *(str(tmp_path / one) if one == "start.sh" else one for one in argv), stdin=SCRIPT)
    assert (done.returncode, done.stdout) == (2, b"") and b"Error: " in done.stderr
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [SCRIPT]


def test_what_steers_a_terminal_reaches_none() -> None:
    done = run("docker run --device /dev/nvidia0 -e A=\x1b[31m --privileged=\x1b app\x1b[0m")
    assert b"\x1b" not in done.stderr


CDI = [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}]


@pytest.mark.parametrize(
    ("differs", "target"),
    [
        ({"sockets": docker("18.09.9")}, Target.DOCKER_18_09),
        ({"sockets": docker("20.10.24")}, Target.DOCKER),
        ({"sockets": docker("28.5.2", Runtimes={"runc": {"path": "runc"}}, DiscoveredDevices=CDI)}, Target.DOCKER_CDI),
        ({"sockets": docker("28.5.2", DiscoveredDevices=CDI)}, Target.DOCKER),
    ],
)
def test_the_target_is_what_the_docker_here_takes(differs: dict[str, Any], target: Target) -> None:
    assert target_here(v100(**differs)) is target


@pytest.mark.parametrize(
    ("commands", "target"),
    [
        ({"docker compose version": "Docker Compose version 2.40.3-3\n"}, ComposeTarget.COMPOSE_2_30),
        ({"docker compose version": "Docker Compose version v2.30.0\n"}, ComposeTarget.COMPOSE_2_30),
        ({"docker compose version": "Docker Compose version v2.29.7\n"}, ComposeTarget.COMPOSE),
        ({"docker-compose --version": "docker-compose version 1.29.2, build unknown\n"}, ComposeTarget.COMPOSE),
        ({"docker-compose --version": "docker-compose version 1.25.0, build unknown\n"}, ComposeTarget.RUNTIME),
        ({"docker compose version": "podman-compose\n"}, ComposeTarget.COMPOSE),
        ({}, ComposeTarget.COMPOSE),
    ],
)
def test_a_compose_file_is_for_the_compose_that_is_here(commands: dict[str, str], target: ComposeTarget) -> None:
    assert compose_target_here(host(commands=commands)) is target


def test_the_target_is_podmans_where_podman_is_all_there_is() -> None:
    assert target_here(host(commands={"podman --version": "podman version 5.4.0\n"})) is Target.PODMAN
    script = {"/usr/bin/docker": '#!/bin/sh\nexec /usr/bin/podman "$@"\n'}
    both = {"docker": "/usr/bin/docker", "podman": "/usr/bin/podman"}
    assert target_here(host(which=both, files=script)) is Target.PODMAN
    assert target_here(host(which=both)) is Target.DOCKER
    assert target_here(host()) is Target.DOCKER
