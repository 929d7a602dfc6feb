"""What another user of the machine prepared turns root's gpuctl to nothing: it is not run, not read and not written."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hosts import host
from simhost.process import until

from gpuctl.facts.docker.endpoint import Endpoint
from gpuctl.facts.docker.process import Process, probe_process
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.reading import Outcome
from gpuctl.host.trusted_process import is_service
from gpuctl.model import Fact

pytestmark = pytest.mark.slow

NATIVE = Path(__file__).parent / "simhost" / "native"
REPOSITORY = Path(__file__).parents[1]
NEIGHBOUR = 64321
Done = subprocess.CompletedProcess[str]
PLANTED = "only-root-may-read-this"


@pytest.fixture(scope="session")
def lookalike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that records as whom it is run."""
    built = tmp_path_factory.mktemp("native") / "lookalike"
    subprocess.run(["gcc", "-O1", "-Wall", "-Werror", "-o", built, NATIVE / "lookalike.c"], check=True)
    return built


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of the neighbour's, below folders that root alone may write."""
    folder = Path(tempfile.mkdtemp(prefix="neighbour-", dir="/var"))
    folder.chmod(0o755)
    os.chown(folder, NEIGHBOUR, NEIGHBOUR)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def secret() -> Iterator[Path]:
    """A file of root's that nobody else may read."""
    folder = Path(tempfile.mkdtemp(prefix="secret-", dir="/var"))
    file = folder / "token.toml"
    file.write_text(f'token = "{PLANTED}"\n')
    file.chmod(0o600)
    yield file
    shutil.rmtree(folder)


_OVERLAYS = """
mount -t tmpfs none /mnt
for place in etc var/lib run; do
    mkdir -p /mnt/$place/upper /mnt/$place/work
    mount -t overlay overlay -o lowerdir=/$place,upperdir=/mnt/$place/upper,workdir=/mnt/$place/work /$place
done
"""
"""What gpuctl changes, it changes in these: the machine stays as it is."""


def beside(
    neighbour: Sequence[str], *argv: str, cwd: Path | None = None, before: str = "", ready: str = "true"
) -> Done:
    """The result of gpuctl, run by root on a machine on which the neighbour's process, and no engine, is running.

    `before` is what root's shell does first; `ready` is what holds once the process does what it is there for.
    """
    runs = '! grep -qaE "^(sh|setpriv)" /proc/$!/cmdline'
    apart = f"setpriv --reuid {NEIGHBOUR} --regid {NEIGHBOUR} --clear-groups"
    start = f"{apart} {shlex.join(neighbour)} &\nuntil {runs} && {ready}; do sleep 0.02; done"
    gpuctl = shlex.join([sys.executable, "-m", "gpuctl", *argv])
    script = f"{_OVERLAYS}\n{before}\n{start}\n{gpuctl}\ncode=$?\nkill %1\nexit $code"
    return subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "HOME": "/root"},
        timeout=300,
    )


COMMANDS = (
    ("doctor",),
    ("collect", "-o", "snapshot.gz"),
    ("install-runtime", "--engine", "containerd", "--dry-run"),
    ("install-runtime", "--engine", "containerd", "--runtime-path", "/bin/true"),
    ("smoke", "--dry-run"),
    ("explain", "runtime not found"),
    ("recommend", "--cuda", "12.4"),
)


@pytest.mark.parametrize(
    ("name", "argv"),
    [("containerd", argv) for argv in COMMANDS]
    + [(name, argv) for name in ("dockerd", "crio") for argv in COMMANDS[:2]],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:4]),
)
def test_no_program_of_another_user_is_run_and_no_file_that_it_names_is_read(
    lookalike: Path, home: Path, secret: Path, tmp_path: Path, name: str, argv: tuple[str, ...]
) -> None:
    program, config = home / name, home / "config.toml"
    shutil.copy(lookalike, program)
    config.write_text(f'version = 2\nimports = ["{secret}"]\n')
    for file in (program, config):
        os.chown(file, NEIGHBOUR, NEIGHBOUR)
    daemon = [str(program), "-c", str(config), "--config", str(config), "--config-file", str(config)]
    done = beside(daemon, *argv, cwd=tmp_path)
    assert not Path(f"{program}.ran").exists(), Path(f"{program}.ran").read_text()
    written = "".join(gzip.decompress(file.read_bytes()).decode() for file in tmp_path.iterdir())
    assert PLANTED not in done.stdout + done.stderr + written
    assert config.read_text().startswith("version = 2\nimports")
    assert done.returncode in (0, 1, 3), done.stderr


def test_it_is_said_whose_process_gpuctl_does_not_go_by(lookalike: Path, home: Path, tmp_path: Path) -> None:
    program = home / "containerd"
    shutil.copy(lookalike, program)
    done = beside([str(program)], "install-runtime", "--engine", "containerd", "--json", cwd=tmp_path)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["changed"]) == (3, False)
    assert f"belongs to user {NEIGHBOUR}: gpuctl goes by root's only" in answer["error"]


def test_a_program_that_every_user_may_run_as_root_passes_for_no_daemon(home: Path, tmp_path: Path) -> None:
    waiting = home / "containerd"
    shutil.copy("/bin/sleep", waiting)
    waiting.chmod(0o4755)  # root's, and set-user-ID: whoever calls it chooses its name and its words
    command = ["sh", "-c", f"cd {home}; exec ./containerd 600"]
    done = beside(command, "install-runtime", "--engine", "containerd", "--json", cwd=tmp_path)
    assert "belongs to user 0 and 64321" in json.loads(done.stdout)["error"]


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6777, 0o1777])
@pytest.mark.parametrize("argv", [("doctor", "-o"), ("collect", "-o"), ("matrix", "--svg")], ids=lambda argv: argv[0])
def test_a_result_over_another_users_file_never_keeps_what_lets_others_act_as_its_owner(
    home: Path, tmp_path: Path, mode: int, argv: tuple[str, str]
) -> None:
    place = tmp_path / "result"
    place.write_text("#!/bin/sh\n")
    os.chown(place, NEIGHBOUR, NEIGHBOUR)
    place.chmod(mode)
    option = f"json={place}" if argv[0] == "doctor" else str(place)
    beside(["sleep", "600"], *argv, option)
    seen = place.stat()
    assert (seen.st_uid, seen.st_mode & 0o7133) == (0, 0)
    assert seen.st_size > 100


def of_neighbours(file: Path, text: str, mode: int = 0o644) -> Path:
    file.write_text(text)
    file.chmod(mode)
    os.chown(file, NEIGHBOUR, NEIGHBOUR)
    return file


MEMBER = "echo eve:x:64321:64321::/:/bin/sh >> /etc/passwd; sed -i 's/^root:x:0:.*/root:x:0:eve/' /etc/group"
DAEMON_JSON = "/etc/docker/daemon.json"
REGISTER = ("install-runtime", "--no-reload", "--config", DAEMON_JSON, "--runtime-path", "/bin/true")
TOOLS = ("docker", "nvidia-smi", "systemctl", "apt-cache", "apt-get", "dpkg", "dpkg-query", "modinfo", "nvidia-ctk")
TOOLS = (*TOOLS, "podman", "crio", "bash", "docker-credential-evil")
KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"
WITH_PACKAGES = ("--install", "--engine", "docker", "--key-file", KEY, "--repo-url", "https://127.0.0.1:9/x")


ONCE = "echo 'Acquire::Retries 0;' > /etc/apt/apt.conf.d/zz-once"
"""Has apt ask a site at which nobody listens once, not four times in seven seconds."""
RUN_ON_PATH = [
    ("doctor",),
    ("smoke",),
    ("install-runtime", "--dry-run"),
    ("install-runtime", *WITH_PACKAGES, "--dry-run"),
    ("install-runtime", *WITH_PACKAGES),
]


@pytest.mark.parametrize("argv", RUN_ON_PATH, ids=lambda argv: " ".join((*argv[:2], argv[-1])))
def test_of_programs_on_path_only_roots_are_run(home: Path, tmp_path: Path, argv: tuple[str, ...]) -> None:
    for tool in TOOLS:
        of_neighbours(home / tool, f"#!/bin/sh\necho {tool} >> {home}/ran\n", 0o755)
    for tool in ("docker", "nvidia-ctk"):  # root's own, which looks for another on the PATH that it is given
        (tmp_path / tool).write_text("#!/usr/bin/env bash\n")
        (tmp_path / tool).chmod(0o755)
    done = beside(["sleep", "600"], *argv, before=f"{ONCE}; cd {home}; export PATH={home}:{tmp_path}:.:$PATH")
    assert not (home / "ran").exists(), (home / "ran").read_text()
    assert done.returncode in (1, 3), done.stderr


def test_a_folder_on_path_that_cannot_be_entered_is_passed_over_and_where_one_is_may_be_gone(tmp_path: Path) -> None:
    round_about, gone = tmp_path / "round", tmp_path / "gone"
    round_about.symlink_to(round_about)
    gone.mkdir()
    env = {**os.environ, "PATH": f"{round_about}/bin:{os.environ['PATH']}"}
    argv = ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", sys.executable, "-m", "gpuctl", "doctor"]
    done = subprocess.run(argv, env=env, cwd=gone, capture_output=True, text=True)
    assert done.returncode == 1 and "failed to read" not in done.stdout + done.stderr


def test_a_program_that_others_may_replace_is_not_registered(home: Path) -> None:
    program = of_neighbours(home / "nvidia-container-runtime", "#!/bin/sh\n", 0o755)
    for engine, config in (("docker", DAEMON_JSON), ("containerd", "/etc/containerd/config.toml")):
        argv = ("install-runtime", "--engine", engine, "--config", config, "--runtime-path", str(program), "--json")
        done = beside(["sleep", "600"], *argv)
        answer = json.loads(done.stdout)
        assert (answer["changed"], done.returncode) == (False, 1)
        assert answer["error"].startswith(f"{program} is not to be run as root, as ")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("chown 64321 /etc/docker/daemon.json", "/etc/docker/daemon.json does not belong to root, but to user 64321"),
        ("chmod 0666 /etc/docker/daemon.json", "others than root may write to /etc/docker/daemon.json"),
        ("chmod 0777 /etc/docker", "others than root may write to /etc/docker"),
        ("chgrp 64321 /etc/docker; chmod 0775 /etc/docker", "others than root may write to /etc/docker"),
        (f"{MEMBER}; chmod 0775 /etc/docker", "others than root may write to /etc/docker"),
        ("ln -sf {home}/daemon.json /etc/docker/daemon.json", "{home} does not belong to root, but to user 64321"),
    ],
)
def test_a_configuration_that_others_may_write_is_neither_read_nor_changed(home: Path, spoil: str, said: str) -> None:
    theirs = of_neighbours(home / "daemon.json", '{"debug": true}\n')
    before = f"mkdir -p /etc/docker; echo '{{}}' > /etc/docker/daemon.json; {spoil.format(home=home)}"
    argv = (*REGISTER, "--json")
    done = beside(["sleep", "600"], *argv, before=before)
    answer = json.loads(done.stdout)
    assert (answer["changed"], done.returncode) == (False, 1), answer
    assert said.format(home=home) in answer["error"]
    assert theirs.read_text() == '{"debug": true}\n'


def test_tables_of_another_user_are_refused(home: Path) -> None:
    of_neighbours(home / "tables.jsonl", "{}\n")
    done = beside(["sleep", "600"], "check", "--cuda", "12.4", before=f"export GPUCTL_DATA={home}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "does not belong to root, but to user 64321" in " ".join(done.stderr.split())


SERVER = """
import http.server, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self): return ""
    def log_message(self, *_): pass
    def do_GET(self):
        open(sys.argv[1] + ".asked", "a").write(self.path)
        body = b'{"Version": "28.5", "ApiVersion": "1.51", "MinAPIVersion": "1.24", "Runtimes": {}}'
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    pass
Server(sys.argv[1], Handler).serve_forever()
"""


def test_nobody_else_is_asked_for_what_docker_is(home: Path) -> None:
    script = of_neighbours(home / "server.py", SERVER)
    socket = home / "docker.sock"
    server = ["/usr/bin/python3", str(script), str(socket)]
    done = beside(server, "doctor", "--json", before=f"export DOCKER_HOST=unix://{socket}", ready=f"[ -S {socket} ]")
    assert not Path(f"{socket}.asked").exists()
    assert "user 64321 answers there: gpuctl goes by root's only" in done.stdout, done.stdout


@pytest.mark.parametrize("umask", ["0", "077", "027"])
def test_what_gpuctl_leaves_has_its_modes_whatever_the_umask(umask: str) -> None:
    argv = REGISTER
    look = "trap 'find /etc/docker /var/lib/gpuctl /run/gpuctl -printf \"%#m %p\\n\" >&2' EXIT"
    done = beside(["sleep", "600"], *argv, before=f"rm -rf /etc/docker; umask {umask}; {look}")
    assert done.returncode == 0, done.stdout + done.stderr
    modes = dict(reversed(line.split()) for line in done.stderr.splitlines() if line.startswith("0"))
    journal = next(path for path in modes if path.endswith(".jsonl"))
    assert modes["/etc/docker"] == modes["/var/lib/gpuctl"] == modes["/var/lib/gpuctl/journal"] == "0755"
    assert modes["/etc/docker/daemon.json"] == modes[journal] == "0644"
    assert (modes["/run/gpuctl"], modes["/run/gpuctl/lock"]) == ("0755", "0600")


def test_nobody_else_can_hold_gpuctls_lock() -> None:
    argv = REGISTER
    first = shlex.join([sys.executable, "-m", "gpuctl", *argv])
    again = shlex.join([sys.executable, "-m", "gpuctl", "uninstall-runtime", *argv[1:4]])
    flock = f"setpriv --reuid {NEIGHBOUR} --regid {NEIGHBOUR} --clear-groups flock"
    places = "/run/gpuctl /var/lib/gpuctl/journal /var/lib/gpuctl /etc/docker"
    holders = f"for place in {places}; do {flock} $place sleep 600 & done"
    hold = f"until [ $(pgrep -c -u {NEIGHBOUR} -x sleep) = {len(places.split())} ]; do sleep 0.02; done"
    tried = f"{flock} /run/gpuctl/lock true && exit 99"
    done = beside(
        ["sleep", "600"], "history", before=f"{first} || exit 97; {holders}; {tried}; {hold}; {again} || exit 98"
    )
    assert done.returncode == 0, done.stdout + done.stderr


RESULTS = [("doctor", "-o", "json={}"), ("collect", "-o", "{}"), ("matrix", "--svg", "{}")]


@pytest.mark.parametrize("argv", RESULTS, ids=lambda argv: argv[0])
def test_a_result_of_roots_goes_through_no_link_and_into_no_folder_of_others(
    home: Path, secret: Path, argv: tuple[str, ...]
) -> None:
    link = home.parent / f"link-{home.name}"
    link.symlink_to(secret)
    try:
        for place in (home / "result", link):
            done = beside(["sleep", "600"], *(word.format(place) for word in argv))
            assert done.returncode in (1, 2, 3) and f"cannot write {place}: " in " ".join(done.stderr.split())
    finally:
        link.unlink()
    assert not (home / "result").exists() and PLANTED in secret.read_text()


def test_who_became_root_gets_results_in_their_own_folder(home: Path) -> None:
    done = beside(["sleep", "600"], "collect", before=f"export SUDO_UID={NEIGHBOUR}; cd {home}")
    (written,) = home.glob("gpuctl-*.jsonl.gz")
    assert (done.returncode, written.stat().st_mode & 0o777) == (0, 0o600)


def test_what_lies_where_a_name_was_to_be_foreseen_is_left_as_it_is(tmp_path: Path, secret: Path) -> None:
    hosts = [tmp_path / f"gpuctl-{os.uname().nodename}-{at}.jsonl.gz" for at in upcoming(600)]
    for place in hosts:
        place.symlink_to(secret)
    done = beside(["sleep", "600"], "collect", cwd=tmp_path)
    assert done.returncode in (2, 3) and "cannot write " in done.stderr
    assert PLANTED in secret.read_text() and all(place.is_symlink() for place in hosts)


def upcoming(seconds: int) -> Iterator[str]:
    """The times of the next seconds, as they stand in the names of snapshots."""
    now = datetime.now(timezone.utc)
    for second in range(seconds):
        yield f"{now + timedelta(seconds=second):%Y%m%dT%H%M%SZ}"


PULL = """
import sys
from gpuctl.smoke.container import EngineError, connect
from gpuctl.smoke.pull import pull
try:
    pull(connect("unix://" + sys.argv[1]), "registry.example/app:1", 5.0, lambda share: None)
except EngineError as error:
    sys.exit(str(error))
"""


def test_docker_is_asked_to_pull_without_a_helper_or_a_listener_of_others(home: Path, tmp_path: Path) -> None:
    script, helper = of_neighbours(home / "server.py", SERVER), home / "docker-credential-evil"
    of_neighbours(helper, f"#!/bin/sh\necho $(id -u) >> {home}/ran\n", 0o755)
    config = tmp_path / "config.json"
    ours, theirs = tmp_path / "docker.sock", home / "docker.sock"
    server = ["/usr/bin/python3", str(script)]
    for text, socket, said in (
        ('{"credsStore": "evil"}', ours, "docker-credential-evil"),
        ('{"auths": {"registry.example": {"auth": "cm9vdDpodW50ZXIy"}}}', theirs, "does not belong to root"),
    ):
        config.write_text(text)
        root = f"{shlex.join([*server, str(ours)])} & until [ -S {ours} ]; do sleep 0.02; done"
        told = f"export DOCKER_CONFIG={tmp_path} PATH={home}:$PATH"
        pull = shlex.join([sys.executable, "-c", PULL, str(socket)])
        done = beside([*server, str(theirs)], before=f"{root}; {told}; {pull}; exit")
        assert said in done.stderr and not (home / "ran").exists(), done.stderr
        assert not Path(f"{theirs}.asked").exists()


@pytest.mark.parametrize("path", ["/proc/../{}", "/proc/self/root{}", "/var/log/../..{}", "/sys/../{}", "{}/../{}"])
def test_no_way_round_leads_to_another_users_file(home: Path, path: str) -> None:
    theirs = of_neighbours(home / "evil.toml", PLANTED)
    reading = LocalHost().read(path.format(str(theirs)) if path.count("{") == 1 else f"{home}/../{home.name}/evil.toml")
    assert (reading.outcome, reading.text) == (Outcome.ERROR, "")
    assert f"{home} does not belong to root, but to user 64321" in reading.detail


def test_a_log_of_a_services_own_is_read_and_no_link_is_followed_there(secret: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="service-", dir="/var/log"))
    try:
        os.chown(folder, NEIGHBOUR, NEIGHBOUR)
        of_neighbours(folder / "history.log", "an entry\n")
        (folder / "link.log").symlink_to(secret)
        (folder / "linked").symlink_to(secret.parent)
        assert LocalHost().read(f"{folder}/history.log").text == "an entry\n"
        for path in (f"{folder}/link.log", f"{folder}/linked/{secret.name}"):
            assert PLANTED not in LocalHost().read(path).text
    finally:
        shutil.rmtree(folder)


def test_in_a_user_namespace_only_those_whom_it_does_not_know_count_as_the_hosts(home: Path) -> None:
    place = home.parent / f"nobody-{home.name}"
    place.write_text("")
    try:
        os.chown(place, 65534, 65534)
        look = f"from gpuctl.host.trust import distrusted; print(distrusted({str(place)!r}))"
        for size, doubted in ((65536, True), (1000, False)):
            argv = ["unshare", "--user", "sh", "-c", f"read go; exec {shlex.join([sys.executable, '-c', look])}"]
            environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            with subprocess.Popen(argv, env=environment, text=True, **pipes) as process:
                ours, theirs = "/proc/self/ns/user", f"/proc/{process.pid}/ns/user"
                until(lambda ours=ours, theirs=theirs: os.readlink(ours) != os.readlink(theirs))
                for kind in ("uid", "gid"):
                    Path(f"/proc/{process.pid}/{kind}_map").write_text(f"0 0 {size}\n")
                said, _ = process.communicate("go\n", timeout=300)
            assert (process.returncode, bool(said.strip())) == (0, doubted), said
    finally:
        place.unlink()


def test_what_a_person_names_to_have_it_looked_at_is_read_whosever_it_is(home: Path, tmp_path: Path) -> None:
    beside(["sleep", "600"], "collect", "-o", f"{tmp_path}/host.gz")
    theirs, lock = home / "host.gz", of_neighbours(home / "requirements.txt", "torch==2.4.0+cu121\n")
    shutil.copy(tmp_path / "host.gz", theirs)
    os.chown(theirs, NEIGHBOUR, NEIGHBOUR)
    for argv in (("doctor", "--from", str(theirs)), ("check", "--requirements", str(lock), "--driver", "580.95.05")):
        done = beside(["sleep", "600"], *argv)
        assert done.returncode in (0, 1, 3) and "does not belong" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("group", "its_own"),
    [
        ("0::/system.slice/docker.service", True),
        ("0::/system.slice/system-k3s.slice/k3s.service", True),
        ("3:name=systemd:/system.slice/snap.docker.dockerd.service", True),
        ("0::/system.slice/docker-abc123.scope/system.slice/containerd.service", False),
        ("0::/system.slice/evil.service/containerd.service", False),
        ("0::/user.slice/user-1000.slice/user@1000.service", False),
        ("0::/docker/abc/system.slice/docker.service", False),
    ],
)
def test_a_unit_within_a_container_is_no_service_of_this_machine(group: str, its_own: bool) -> None:
    assert is_service(group + "\n") is its_own


FD = "unix:///var/run/docker.sock"
INSIDE = {
    "user 1000's": ({"status": "Uid:\t1000\t1000\t1000\t1000\n"}, {}, "process 700 belongs to user 1000"),
    "set-user-ID": ({"status": "Uid:\t1000\t0\t0\t0\n"}, {}, "process 700 belongs to user 0 and 1000"),
    "of a container": ({}, {"/proc/700/ns/pid": "pid:[2]"}, None),
    "seen by root only in its numbers": ({"status": "Uid:\t0\t0\t0\t0\nNSpid:\t700\t1\n"}, {}, None),
    "of a container in the host's processes": ({}, {"/proc/700/ns/mnt": "mnt:[2]"}, None),
}


@pytest.mark.parametrize("other", INSIDE)
def test_under_socket_activation_only_this_machines_own_dockerd_is_dockers_process(other: str) -> None:
    files, links, doubt = INSIDE[other]
    ours = {"/proc/self/ns/pid": "pid:[1]", "/proc/self/ns/mnt": "mnt:[1]"}

    def daemon(pid: int, **more: str) -> dict[str, str]:
        texts = {"comm": "dockerd\n", "cmdline": "dockerd\0-H\0fd://\0", "stat": f"{pid} (dockerd) S 1 " + "0 " * 19}
        return {f"/proc/{pid}/{name}": text for name, text in {**texts, **more}.items()}

    def process(**machine: dict[str, str]) -> Fact[Process]:
        return probe_process(host(links={**ours, **links}, files=machine["files"]), Endpoint(FD, "default"), True)

    found = process(files=daemon(700, **files))
    assert found.value is None and (found.unknown or "").startswith(doubt or "")
    assert (found.unknown is None) == (doubt is None)
    service = daemon(800, cgroup="0::/system.slice/docker.service\n")
    links = {**links, "/proc/800/ns/mnt": "mnt:[3]"}  # systemd may give a service mounts of its own
    both = process(files={**daemon(700, **files), **service})
    assert both.value and both.value.pid == 800
