"""A cluster that is asked: over TLS, with kubeconfigs of each kind, by the official client and by the real kubectl."""

from __future__ import annotations

import base64
import gzip
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import pytest
from k8s_objects import Object, claiming, node, pod
from k8s_server import (
    PLACES,
    TOKEN,
    Certificates,
    Fault,
    Server,
    endless,
    forbidden,
    half,
    html,
    kubeconfig,
    lists_in,
    nothing,
    path_of,
    says,
    serving,
)
from simhost import until, warm
from simhost.process import running
from test_k8s import ROOT, WORLD, conforms
from test_k8s_checks import LABEL, crashing
from test_k8s_operator import policy

from gpuctl.host.api.answer import ApiProblem
from gpuctl.host.api.credentials import credentials
from gpuctl.k8s.live import LISTS

WITHOUT_EXTRA = (
    "import sys; sys.modules.update(kubernetes=None, msgspec=None); from gpuctl.__main__ import main; main()"
)
"""gpuctl where the extra is not installed."""
pytestmark = pytest.mark.bench
PROGRAMS = {"client": ("-m", "gpuctl"), "kubectl": ("-c", WITHOUT_EXTRA)}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls") / "certificates")


@pytest.fixture
def server() -> Server:
    return Server(lists_in(WORLD.read_text()))


@pytest.fixture
def address(server: Server, certificates: Certificates) -> Iterator[str]:
    with serving(server, certificates) as url:
        yield url


@pytest.fixture
def config(address: str, certificates: Certificates, tmp_path: Path) -> Path:
    cluster = {"server": address, "certificate-authority": certificates.path("ca.crt")}
    return kubeconfig(tmp_path / "config", cluster, {"token": TOKEN})


def run(config: Path | str, *argv: str, by: str = "client", **env: str) -> subprocess.CompletedProcess[str]:
    """What `gpuctl k8s …` does with a kubeconfig, and nothing of the machine's own."""
    ours = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**ours, "PATH": path, "KUBECONFIG": str(config), **env}
    if by == "client":
        return warm.gpuctl("k8s", *argv, env=environment)
    command = [sys.executable, *PROGRAMS[by], "k8s", *argv]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, env=environment)


# One world, however it is read


def recorded_lines(path: Path) -> list[str]:
    """A snapshot's lines: the first says when it was made."""
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def test_every_way_of_reading_tells_the_same(server: Server, config: Path, tmp_path: Path) -> None:
    recorded, printed = tmp_path / "cluster.gz", tmp_path / "printed.json"
    assert run(config, "collect", "-o", str(recorded)).returncode == 0
    raw = [Path(sys.executable).parent / "kubectl", "--kubeconfig", config, "get", "--raw"]
    lists = [subprocess.run([*raw, path_of(kind)], capture_output=True, check=True).stdout for kind in PLACES]
    printed.write_bytes(b"\n".join(lists))
    again = tmp_path / "again.gz"
    assert run("", "collect", "--from", str(printed), "-o", str(again)).returncode == 0
    one, other = ([line for line in recorded_lines(path)[1:] if "EventList" not in line] for path in (recorded, again))
    assert one == other  # of events the API is asked for some
    server.page = 3  # nobody sees it but who does not follow the pages
    for argv in (("why", "wants-4", "-v"), ("doctor", "-v"), ("check", "--cuda", "12.4")):
        told = run(config, *argv)
        assert told.stderr == ""
        assert run(config, *argv, by="kubectl").stdout == told.stdout
        assert run("", *argv, "--from", str(recorded)).stdout == told.stdout
        assert run("", *argv, "--from", str(printed)).stdout == told.stdout
        assert run("", *argv, "--from", str(recorded), by="kubectl").stdout == told.stdout


def unpacked(suite: str, package: str, folder: Path) -> Path:
    """The programs of one of Debian's packages, beside what is installed: two kubectls cannot be installed at once."""
    lists, cache = folder / "lists", folder / "cache"
    for one in (lists / "partial", cache / "archives" / "partial"):
        one.mkdir(parents=True)
    sources = folder / "debian.list"
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    sources.write_text(f"deb [signed-by={key}] http://deb.debian.org/debian {suite} main\n")
    places = {"Etc::sourcelist": sources, "Etc::sourceparts": "-", "State::lists": lists, "Cache": cache}
    options = [f"-oDir::{name}={place}" for name, place in {**places, "State::status": "/dev/null"}.items()]
    for words in (["update"], ["download", package]):
        try:
            got = subprocess.run(["apt-get", *options, "-qq", *words], cwd=folder, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("this machine has no apt, which gets Debian's packages")
        if got.returncode:
            pytest.skip(f"Debian's {suite} cannot be had here: {got.stderr.strip()}")
    (file,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "--extract", file, folder], check=True)
    return folder / "usr" / "bin"


@pytest.mark.parametrize(
    ("suite", "package", "version"), [("bookworm", "kubernetes-client", "v1.20."), ("sid", "kubectl", "v1.3")]
)
def test_debians_kubectls_old_and_new_read_the_same_world(
    server: Server, config: Path, tmp_path: Path, suite: str, package: str, version: str
) -> None:
    programs = unpacked(suite, package, tmp_path)
    told = subprocess.run([programs / "kubectl", "version", "--client"], capture_output=True, text=True, check=True)
    assert version in told.stdout
    path = f"{programs}:{os.environ['PATH']}"
    assert run(config, "doctor", "-v", by="kubectl", PATH=path).stdout == run(config, "doctor", "-v").stdout
    server.faults["/nodes"] = [says(403, "nodes is forbidden", "Forbidden")]
    assert "get, list nodes" in run(config, "doctor", by="kubectl", PATH=path).stdout
    assert run(config, "doctor", "--context", "nope", by="kubectl", PATH=path).returncode == 2


def test_a_node_is_told_alike_by_its_own_lists_and_by_all(server: Server, config: Path) -> None:
    ways = {name: run(config, "doctor", "--node", name, "--json") for name in ("h100-degraded", "dra-node", "cpu-only")}
    assert len([path for path in server.asked if "pods" in path]) == 2 * len(ways)
    for name, live in ways.items():
        listed = run("", "doctor", "--node", name, "--json", "--from", str(WORLD))
        one, other = (conforms("k8s-doctor", done.stdout) for done in (live, listed))
        assert one["chain"] == other["chain"] and one["classes"] == other["classes"]
        loud = [{f["id"] for f in each["findings"] if f["status"] == "fail"} for each in (one, other)]  # type: ignore[attr-defined]
        assert loud[0] == loud[1]


def test_what_is_asked_for_is_little_and_over_one_connection(server: Server, config: Path) -> None:
    assert run(config, "doctor").returncode == 1
    asked = [path.partition("?")[0] for path in server.asked]
    asked.remove("/api/v1/events")  # asked for twice: those of two reasons
    assert asked[0] == "/version" and len(asked) == len(set(asked)) <= 9
    assert all("limit=500" in path and "resourceVersion" not in path for path in server.asked[1:])
    assert "fieldSelector=status.phase!=Succeeded" in next(path for path in server.asked if "/pods" in path)
    assert len(server.connections) == 1
    server.asked.clear()
    assert run(config, "doctor", "--node", "h100-a").returncode in (0, 1)
    assert len(server.asked) <= 10


def test_claims_and_what_the_operator_says_are_asked_for_where_there_are_any(
    server: Server, config: Path, tmp_path: Path
) -> None:
    kinds = ("deviceclasses", "resourceclaims", "clusterpolicies", "nvidiadrivers")

    def asked() -> set[str]:
        asked = {path.partition("?")[0].rpartition("/")[2] for path in server.asked} & set(kinds)
        server.asked.clear()
        return asked

    server.lists = {kind: [] for kind in server.lists} | {"Node": [node("a")], "Pod": [pod("p", 1, "a")]}
    assert run(config, "doctor").returncode == 0
    assert asked() == set()
    server.lists["Pod"] += [pod("operator", labels={"app": "gpu-operator"}), claiming("waits", "c")]
    server.lists["ClusterPolicy"] = [policy("notReady", "ReconcileFailed", "no such image")]
    told = run(config, "doctor")
    assert "ClusterPolicy it is not ready: no such image." in told.stdout and asked() == set(kinds)
    assert run(config, "collect", "-o", str(tmp_path / "s")).returncode == 0
    assert run("", "doctor", "--from", str(tmp_path / "s")).stdout == told.stdout
    asked()
    for fault, by in product((says(404, "not found", "NotFound"), forbidden("ClusterPolicy")), PROGRAMS):
        server.faults = {f"/apis/nvidia.com/{version}": [fault] for version in ("v1/", "v1alpha1/")}
        found = findings(run(config, "doctor", "--json", by=by))
        assert found["k8s.api.permissions"]["status"] == found["k8s.api.reachable"]["status"] == "pass"
        assert found["k8s.operator.state"]["status"] == "skip"
        assert asked() == set(kinds)


LOG = b"""I1129 Starting FS watcher
I1129 token: ghp_0123456789abcdefghijABCDEFGHIJ456789
E1129 Failed to start health check: error initializing NVML: Unknown Error; continuing with health checks disabled
E1129 Incompatible strategy detected auto
"""


def test_the_plugins_log_is_read_where_its_work_is_in_question(server: Server, config: Path, tmp_path: Path) -> None:
    well = pod("plugin-a", on="a", labels=LABEL, namespace="gpu", spec={"containers": [{"name": "x-device-plugin"}]})
    server.lists["Node"] = [node("a"), node("ill")]
    server.lists["Pod"] = [well, crashing("plugin-ill", "ill", LABEL["app"]), pod("other", 1, "ill")]
    server.logs = {("gpu", "plugin-a", "x-device-plugin"): LOG, ("default", "plugin-ill", "c"): LOG}

    def said(*argv: str, by: str = "client") -> dict[str, str]:
        findings = json.loads(run(config, "doctor", "--json", *argv, by=by).stdout)["findings"]
        return {one["id"]: f"{one['status']} {one['message']}" for one in findings}

    cause = "Its log: The device plugin's own pod does not run under the NVIDIA runtime"
    found = said()
    assert cause in found["k8s.operator.state"]
    assert found["k8s.plugin.health-checks"].startswith("fail ill: ")  # it offers GPUs all the same
    (log,) = [path.partition("?")[0] for path in server.asked if "/log" in path]
    assert log == "/api/v1/namespaces/default/pods/plugin-ill/log"
    assert said("--node", "a", by="kubectl")["k8s.plugin.health-checks"].startswith("fail a: ")
    assert run(config, "collect", "-o", str(tmp_path / "s.gz")).returncode == 0
    recorded = gzip.decompress((tmp_path / "s.gz").read_bytes()).decode()
    assert "Incompatible strategy" in recorded and "ghp_" not in recorded
    assert cause in said("--from", str(tmp_path / "s.gz"))["k8s.operator.state"]
    server.lists["Pod"][1]["metadata"]["labels"] = {"app": "nvidia-device-plugin-ds"}
    server.logs[("default", "plugin-ill", "c")] = b"\xff\0[red]" * (4 << 20) + LOG
    assert cause in said()["k8s.plugin.running"]
    server.faults["/log"] = [says(403, "pods is forbidden", "Forbidden")]
    assert "it takes the rule `get pods/log in the namespace default`" in said()["k8s.plugin.running"]


def test_the_log_of_the_operand_at_which_the_operator_stopped_is_read(server: Server, config: Path) -> None:
    begun = {"waiting": {"reason": "CrashLoopBackOff"}}
    waits = {"waiting": {"reason": "PodInitializing"}}

    def operand(app: str, container: str, state: Object) -> Object:
        status = {
            "initContainerStatuses": [{"name": container, "state": state}],
            "containerStatuses": [{"name": "c", "state": waits}],
        }
        return pod(app, on="a", phase="Pending", labels={"app": app}, namespace="gpu", status=status)

    server.lists["Node"] = [node("a")]
    server.lists["Pod"] = [
        operand("nvidia-operator-validator", "driver-validation", {"running": {}}),
        operand("nvidia-driver-daemonset", "k8s-driver-manager", begun),
    ]
    log = b"Could not unload NVIDIA driver kernel modules, driver is in use"
    server.logs = {("gpu", "nvidia-driver-daemonset", "k8s-driver-manager"): log}
    found = json.loads(run(config, "doctor", "--json").stdout)["findings"]
    said = {one["id"]: one["message"] for one in found}["k8s.operator.state"]
    assert "stopped at nvidia-driver-daemonset: CrashLoopBackOff. Its log: Something holds the old module" in said
    assert len([path for path in server.asked if "/log?" in path]) == 1


def test_large_pages_come_packed(server: Server, config: Path) -> None:
    server.lists["Pod"] = [pod(f"p{number}", labels={"app": "x" * 60}) for number in range(1500)]
    assert run(config, "why", "-n", "default", "p1499").returncode in (0, 1)
    assert server.gzipped == 3
    assert [path.count("continue") for path in server.asked if "/pods" in path] == [0, 1, 1]


def test_older_servers_are_asked_in_their_version_of_resource_k8s_io(server: Server, config: Path) -> None:
    for versions, requests in ((("v1beta1",), 5), ((), 3), (("v1", "v1beta1"), 3)):
        server.dra_versions = versions
        server.asked.clear()
        assert run(config, "doctor").returncode == 1
        assert len([path for path in server.asked if "resource.k8s.io" in path]) == requests


# What is recorded


def test_a_snapshot_has_no_environment_arguments_annotations_and_secrets(
    server: Server, config: Path, tmp_path: Path
) -> None:
    one = pod("p", 1, on="h100-a", spec={"imagePullSecrets": [{"name": "hunter3"}]})
    container = one["spec"]["containers"][0]
    container |= {"env": [{"name": "hunter3", "value": "hunter3"}], "args": ["hunter3"], "command": ["hunter3"]}
    one["metadata"]["annotations"] = {"hunter3": "hunter3"}
    one["spec"]["volumes"] = [{"name": "v", "secret": {"secretName": "hunter3"}}]
    server.lists["Pod"] = [one]
    for by in PROGRAMS:
        path = tmp_path / by
        assert run(config, "collect", "-o", str(path), by=by).returncode == 0
        text = gzip.decompress(path.read_bytes()).decode()
        assert '"name": "p"' in text and "hunter" not in text


def test_a_snapshot_tells_what_could_not_be_had(server: Server, config: Path, tmp_path: Path) -> None:
    server.faults = {"/events": [forbidden("Event")], "/daemonsets": [says(500, "etcd is gone")]}
    path = tmp_path / "cluster.gz"
    done = run(config, "collect", "-o", str(path), "--json")
    assert [one["list"] for one in conforms("k8s-collect", done.stdout)["missing"]] == ["events", "daemonsets"]  # type: ignore[attr-defined]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server.faults |= {"/daemonsets": [says(500, "etcd is gone")]}
    assert run("", "doctor", "-v", "--from", str(path)).stdout == run(config, "doctor", "-v").stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"schema": "gpuctl.cluster/9"}', "its schema is not gpuctl.cluster/1"),
        ('{"schema": "gpuctl.snapshot/1"}\n', "a host's snapshot"),
    ],
)
def test_other_snapshots_are_told_apart(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "s").write_text(text)
    done = run("", "doctor", "--from", str(tmp_path / "s"))
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


# Answers that are no list


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document: Any = conforms("k8s-doctor", done.stdout)
    return {one["id"]: one for one in document["findings"]}


@pytest.mark.parametrize("by", PROGRAMS)
def test_a_forbidden_list_is_unknown_and_names_the_rule(server: Server, config: Path, by: str) -> None:
    server.faults = {"/events": [forbidden("Event")], "/nodes": [forbidden("Node")]}
    done = run(config, "doctor", "--json", by=by)
    found = findings(done)
    assert done.returncode == 3
    assert found["k8s.api.permissions"]["status"] == "warn"
    assert "get, list nodes; get, list events" in found["k8s.api.permissions"]["message"]
    assert found["k8s.pods.quota"]["status"] == "unknown"
    assert "get, list events" in found["k8s.pods.quota"]["message"]
    assert found["k8s.api.reachable"]["status"] == "pass"


BROKEN = (says(500, "etcd is gone"), half, nothing, html)


@pytest.mark.parametrize(("fault", "by"), [*product(BROKEN, PROGRAMS), (endless, "client")])
def test_a_list_that_breaks_down_is_unknown_and_the_others_are_judged(
    server: Server, config: Path, fault: Fault, by: str
) -> None:
    server.faults = {"/daemonsets": [fault]}
    found = findings(run(config, "doctor", "--json", by=by))
    assert found["k8s.api.reachable"]["status"] == "warn"
    assert "daemonsets" in found["k8s.api.reachable"]["message"]
    assert found["k8s.plugin.present"]["status"] == "unknown"
    assert found["k8s.gpu.healthy"]["status"] == "fail"


def test_what_passes_is_waited_out(server: Server, config: Path) -> None:
    told = run(config, "doctor").stdout
    server.page = 4
    gone = says(410, "The provided continue parameter is too old", "Expired")
    server.faults = {
        "/nodes": [says(429, "too many requests", Retry_After="1"), None],
        "/pods?limit=500&fieldSelector=status.phase!=Succeeded&continue": [None, gone, None],
        "/daemonsets": [says(503, "not ready"), says(500, "not yet"), None],
    }
    server.asked.clear()
    began = time.monotonic()
    done = run(config, "doctor")
    assert (done.stdout, done.stderr) == (told, "")
    assert time.monotonic() - began >= 1
    assert len([path for path in server.asked if "/pods" in path and "continue" not in path]) == 2


def test_patience_has_an_end(server: Server, config: Path) -> None:
    gone = says(410, "The provided continue parameter is too old", "Expired")
    server.page = 4
    pods = "/pods?limit=500&fieldSelector=status.phase!=Succeeded&continue"
    server.faults = {pods: [gone], "/nodes": [says(429, "too many requests")]}
    done = run(config, "doctor", "--json")
    assert done.returncode == 3
    assert "nodes, pods" in findings(done)["k8s.api.reachable"]["message"]
    assert len([path for path in server.asked if "/nodes" in path]) == 4
    assert len([path for path in server.asked if "/pods" in path and "continue" not in path]) == 3


@pytest.mark.parametrize("by", PROGRAMS)
@pytest.mark.parametrize("fault", [html, half, nothing, says(401, "Unauthorized", "Unauthorized"), says(302, "x")])
def test_a_cluster_that_cannot_be_asked_is_one_sentence(server: Server, config: Path, fault: Fault, by: str) -> None:
    server.faults = {"/": [fault]}
    for argv in (("doctor",), ("why", "wants-4"), ("collect", "-o", "-")):
        done = run(config, *argv, by=by)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1


# Who asks, and whom: kubeconfigs


V1 = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}


def with_user(config: Path, certificates: Certificates, address: str, user: object, **cluster: object) -> Path:
    where = {"server": address, "certificate-authority-data": certificates.data("ca.crt"), **cluster}
    return kubeconfig(config.parent / "other", where, user)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("user", "cluster"),
    [
        ({"token": TOKEN}, {}),
        ({"tokenFile": "token"}, {}),
        ({"client-certificate": "bob.crt", "client-key": "bob.key"}, {}),
        ({"client-certificate-data": "bob.crt", "client-key-data": "bob.key"}, {}),
        ({"token": TOKEN}, {"insecure-skip-tls-verify": True}),
        ({"exec": {**V1, "command": "./plugin"}}, {}),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "./plugin"}}, {}),
        ({"exec": {**V1, "command": "./plugin", "args": ["pair"]}}, {}),
        (
            {
                "exec": {
                    "apiVersion": "client.authentication.k8s.io/v1",
                    "command": "./plugin",
                    "provideClusterInfo": True,
                    "env": [{"name": "WANTS", "value": "cluster"}],
                    "interactiveMode": "IfAvailable",
                }
            },
            {},
        ),
    ],
    ids=[
        "token",
        "tokenFile",
        "certificate",
        "certificate-data",
        "insecure",
        "v1",
        "v1beta1",
        "exec-pair",
        "exec-cluster",
    ],
)
@pytest.mark.parametrize("by", PROGRAMS)
def test_each_kind_of_credentials_is_used(
    user: dict[str, Any], cluster: dict[str, Any], config: Path, address: str, certificates: Certificates, by: str
) -> None:
    (config.parent / "token").write_text(TOKEN + "\n")
    exec_plugin(config.parent, certificates)
    for name in ("bob.crt", "bob.key"):
        (config.parent / name).write_bytes(Path(certificates.path(name)).read_bytes())
    given = {key: certificates.data(value) if key.endswith("-data") else value for key, value in user.items()}
    path = with_user(config, certificates, address, given, **cluster)
    if "insecure-skip-tls-verify" in cluster:
        path = kubeconfig(path, {"server": address, **cluster}, given)
    scratch = config.parent / "scratch"
    scratch.mkdir()
    done = run(path, "doctor", by=by, TMPDIR=str(scratch))
    assert (done.returncode, done.stderr) == (1, "")
    assert list(scratch.iterdir()) == []  # keys among them


PLUGIN = """#!/usr/bin/env python3
import json, os, sys
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
status = {{"token": {token!r}}}
if sys.argv[1:] == ["pair"]:
    status = {{"clientCertificateData": open({cert!r}).read(), "clientKeyData": open({key!r}).read()}}
if os.environ.get("WANTS") == "cluster" and not info["spec"]["cluster"]["server"].startswith("https://"):
    sys.exit(1)
print(json.dumps({{"apiVersion": info["apiVersion"], "kind": "ExecCredential", "status": status}}))
"""


def exec_plugin(folder: Path, certificates: Certificates, text: str = PLUGIN) -> Path:
    plugin = folder / "plugin"
    plugin.write_text(text.format(token=TOKEN, cert=certificates.path("bob.crt"), key=certificates.path("bob.key")))
    plugin.chmod(0o755)
    return plugin


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#!/bin/sh\nexit 3\n", "exit status 3"),
        ("#!/bin/sh\necho 'log in with acme login' >&2; exit 1\n", "log in with acme login"),
        ("#!/bin/sh\necho hello\n", "not JSON"),
        ("#!/bin/sh\necho '{{}}'\n", "no ExecCredential"),
        ("#!/bin/sh\nread -r answer < /dev/tty || exit 7; sleep 100\n", "exit status 7"),
        ("#!/bin/sh\nread -r answer || exit 8; sleep 100\n", "exit status 8"),
        ("#!/bin/sh\nyes '{{' \n", "printed more than"),
    ],
    ids=["fails", "says", "chatter", "empty", "terminal", "stdin", "endless"],
)
def test_a_program_for_credentials_that_gives_none_is_one_sentence(
    text: str, words: str, config: Path, address: str, certificates: Certificates
) -> None:
    exec_plugin(config.parent, certificates, text)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin"}}
    done = run(with_user(config, certificates, address, user), "doctor")
    assert (done.returncode, done.stdout) == (3, "")
    assert words in done.stderr and "./plugin, the program for credentials" in done.stderr
    assert done.stderr.count("\n") == 1 and TOKEN not in done.stderr


def test_a_program_for_credentials_that_hangs_is_ended(certificates: Certificates, tmp_path: Path) -> None:
    exec_plugin(tmp_path, certificates, "#!/bin/sh\nsleep 1000\n")
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin"}
    with pytest.raises(ApiProblem, match="gave none: no answer within 2 s"):
        credentials(plugin, {}, str(tmp_path), deadline=2.0)
    assert until(lambda: not running(str(tmp_path / "plugin")))


@pytest.mark.parametrize(
    ("plugin", "code", "words"),
    [
        ({"command": "no-such-program", "installHint": "See https://example.com"}, 3, "not on PATH. See https://exa"),
        ({"command": "./plugin", "interactiveMode": "Always"}, 3, "wants a terminal"),
        ({"command": "./plugin", "apiVersion": "client.authentication.k8s.io/v1alpha1"}, 2, "v1 and v1beta1"),
        ({"command": 7}, 2, "its command is no text"),
    ],
)
def test_a_program_for_credentials_that_cannot_be_run_is_told(
    plugin: dict[str, Any], code: int, words: str, config: Path, address: str, certificates: Certificates
) -> None:
    exec_plugin(config.parent, certificates)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", **plugin}}
    done = run(with_user(config, certificates, address, user), "doctor")
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr and done.stderr.count("\n") == 1


def test_one_who_acts_as_another_is_told_to_the_api(
    config: Path, address: str, certificates: Certificates, server: Server
) -> None:
    user = {"token": TOKEN, "as": "jane", "as-groups": ["a", "b"], "as-uid": "7", "as-user-extra": {"x/y": ["z"]}}
    path = with_user(config, certificates, address, user)
    for by in PROGRAMS:
        server.headers.clear()
        assert run(path, "rbac", "--missing", by=by).returncode == 0
        sent = {name.lower(): value for name, value in server.headers[-1].items()}
        assert (sent["impersonate-user"], sent["impersonate-uid"]) == ("jane", "7")
        assert server.groups[-1] == ["a", "b"] and sent["impersonate-extra-x%2fy"] == "z"


def test_the_servers_name_is_as_the_kubeconfig_has_it(certificates: Certificates, tmp_path: Path) -> None:
    with serving(Server(lists_in(WORLD.read_text())), certificates, "elsewhere") as url:
        cluster = {"server": url, "certificate-authority": certificates.path("ca.crt")}
        path = kubeconfig(tmp_path / "config", {**cluster, "tls-server-name": "api.example.test"}, {"token": TOKEN})
        assert run(path, "doctor").returncode == 1
        done = run(kubeconfig(path, cluster, {"token": TOKEN}), "doctor")
        assert (done.returncode, done.stdout) == (3, "")
        assert "for another" in done.stderr and "tls-server-name" in done.stderr


@pytest.mark.parametrize(
    ("of", "authority", "words"),
    [
        ("expired", "ca", "its certificate has expired"),
        ("server", "other", "an authority that the kubeconfig does not"),
    ],
)
def test_a_certificate_that_does_not_hold_is_told(
    of: str, authority: str, words: str, certificates: Certificates, tmp_path: Path
) -> None:
    with serving(Server(lists_in(WORLD.read_text())), certificates, of) as url:
        cluster = {"server": url, "certificate-authority": certificates.path(f"{authority}.crt")}
        path = kubeconfig(tmp_path / "config", cluster, {"token": TOKEN})
        done = run(path, "doctor")
        assert (done.returncode, done.stdout) == (3, "")
        assert words in done.stderr and done.stderr.count("\n") == 1


def test_a_clients_certificate_that_has_expired_is_told(config: Path, address: str, certificates: Certificates) -> None:
    files = {"client-certificate": "late-bob.crt", "client-key": "late-bob.key"}
    user = {name: certificates.path(file) for name, file in files.items()}
    done = run(with_user(config, certificates, address, user), "doctor")
    assert (done.returncode, done.stdout) == (3, "")
    assert "it refused the client's certificate" in done.stderr


def test_nobody_listens_and_no_such_name(config: Path, certificates: Certificates) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    for by in PROGRAMS:
        done = run(with_user(config, certificates, f"https://127.0.0.1:{port}", {"token": TOKEN}), "doctor", by=by)
        assert (done.returncode, done.stdout) == (3, "")
        assert "refused" in done.stderr and done.stderr.count("\n") == 1
    done = run(with_user(config, certificates, "https://no-such-name.invalid:6443", {"token": TOKEN}), "doctor")
    assert done.returncode == 3 and "cannot be resolved" in done.stderr


def test_a_server_without_tls_is_told(server: Server, config: Path, certificates: Certificates) -> None:
    with serving(Server(lists_in(WORLD.read_text())), None) as url:
        done = run(with_user(config, certificates, url.replace("http:", "https:"), {"token": TOKEN}), "doctor")
        assert done.returncode == 3 and "speaks no TLS" in done.stderr
        assert run(with_user(config, certificates, url, {"token": TOKEN}), "doctor").returncode == 1


class Tunnel(BaseHTTPRequestHandler):
    """A proxy: CONNECT, and bytes both ways."""

    seen: ClassVar[list[str]] = []

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def do_CONNECT(self) -> None:
        self.seen.append(self.path)
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port))) as there:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=pass_on, args=(there, self.connection), daemon=True)
            back.start()
            pass_on(self.connection, there)


def pass_on(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(1 << 16):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


def test_the_proxy_of_the_kubeconfig_is_gone_through(config: Path, address: str, certificates: Certificates) -> None:
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Tunnel)
    proxy.daemon_threads = True
    threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
    url = f"http://127.0.0.1:{proxy.server_address[1]}"
    Tunnel.seen.clear()
    path = with_user(config, certificates, address, {"token": TOKEN}, **{"proxy-url": url})
    assert run(path, "doctor").returncode == 1
    assert Tunnel.seen == [address.removeprefix("https://")]
    proxy.shutdown()
    proxy.server_close()
    done = run(path, "doctor")
    assert (done.returncode, done.stdout) == (3, "")
    assert "proxy" in done.stderr and done.stderr.count("\n") == 1


def test_several_kubeconfigs_are_one_and_contexts_are_chosen(
    config: Path, address: str, certificates: Certificates, tmp_path: Path
) -> None:
    only = {"apiVersion": "v1", "kind": "Config", "current-context": "there"}
    context = {"name": "there", "context": {"cluster": "c", "user": "u"}}
    first = tmp_path / "first"
    first.write_text(json.dumps({**only, "contexts": [context]}))
    merged = f"{first}:{tmp_path / 'absent'}:{config}"
    for by in PROGRAMS:
        assert run(merged, "doctor", "--context", "there", by=by).returncode == 1
        assert run(merged, "doctor", by=by).returncode == 1
        done = run(merged, "doctor", "--context", "nope", by=by)
        assert (done.returncode, done.stdout) == (2, "")
        assert "nope" in done.stderr and done.stderr.count("\n") == 1


YEAR_2100 = 4102444800


def jwt(expires: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(expires)}).encode()).decode().rstrip("=")
    return f"e30.{claims}.c2ln"


@pytest.mark.parametrize("token", [jwt(YEAR_2100), "no token", "a.b.c", "a..c"])
def test_the_token_of_an_oidc_provider_is_taken_as_it_is(
    token: str, server: Server, address: str, certificates: Certificates, tmp_path: Path
) -> None:
    server.token = token
    assert oidc(token, address, certificates, tmp_path).returncode == 1


def test_an_expired_token_of_an_oidc_provider_is_one_sentence(
    server: Server, address: str, certificates: Certificates, tmp_path: Path
) -> None:
    done = oidc(jwt(time.time() - 60), address, certificates, tmp_path)
    assert (done.returncode, done.stdout, server.asked) == (3, "", [])
    assert "has expired: any kubectl command renews it" in done.stderr and done.stderr.count("\n") == 1


def oidc(token: str, address: str, certificates: Certificates, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    settings = {"idp-issuer-url": "https://idp.invalid", "client-id": "c", "refresh-token": "r", "id-token": token}
    cluster = {"server": address, "certificate-authority": certificates.path("ca.crt")}
    user = {"auth-provider": {"name": "oidc", "config": settings}}
    return run(kubeconfig(tmp_path / "oidc", cluster, user), "doctor")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("- a\n", "not understood"),
        ("a: [\n", "not understood"),
        ("<html>", "not understood"),
        ("contexts: []\ncurrent-context: x\n", "no context 'x', but none"),
        ("contexts: 7\ncurrent-context: x\n", "not understood"),
        ("contexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n", "names the cluster c, which it has not"),
        ("contexts: [{name: x}]\ncurrent-context: x\n", "not understood"),
        ("clusters: []\ncontexts: []\n", "no current context"),
        (
            "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n"
            "clusters: [{name: c, cluster: {server: 'https://x'}}]\nusers: []\n",
            "names the user u, which it has not",
        ),
        (
            "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n"
            "clusters: [{name: c, cluster: {server: 'https://x'}}]\nusers: [{name: u, user: {tokenFile: /nowhere}}]\n",
            "/nowhere: No such file",
        ),
        (
            "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n"
            "clusters: [{name: c, cluster: {server: 'https://x'}}]\n"
            "users: [{name: u, user: {auth-provider: {name: gcp, config: {cmd-path: /bin/sleep 99}}}}]\n",
            "auth-provider gcp is gone",
        ),
        *(
            (
                "contexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n"
                f"clusters: [{{name: c, cluster: {{server: {server}}}}}]\n",
                "is no address that begins with https:// or http://",
            )
            for server in ("{a: b}", "7", "[1]", "127.0.0.1:6443", "ftp://x")
        ),
    ],
    ids=lambda value: value[:50],
)
def test_a_kubeconfig_that_is_none_is_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(text)
    done = run(tmp_path / "config", "doctor")
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("by", PROGRAMS)
def test_root_goes_by_no_kubeconfig_of_another_user(config: Path, by: str) -> None:
    os.chown(config, 65534, 65534)
    done = run(config, "doctor", by=by)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the kubeconfig is not gone by" in done.stderr and done.stderr.count("\n") == 1


IN_POD = """set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/secrets/kubernetes.io/serviceaccount
cp "$1" /run/secrets/kubernetes.io/serviceaccount/ca.crt
echo "$2" > /run/secrets/kubernetes.io/serviceaccount/token
shift 2
exec "$@"
"""


@pytest.mark.parametrize("by", PROGRAMS)
def test_in_a_pod_its_service_account_asks(address: str, certificates: Certificates, tmp_path: Path, by: str) -> None:
    place = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": address.rpartition(":")[2]}
    ours = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and name != "KUBECONFIG"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [sys.executable, *PROGRAMS[by], "k8s", "doctor"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", IN_POD, "sh", certificates.path("ca.crt"), TOKEN, *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**ours, **place, "PATH": path, "HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (1, "")


def test_no_kubeconfig_and_no_pod_and_neither_client_nor_kubectl(tmp_path: Path) -> None:
    for argv in ((), ("--context", "x")):
        done = run(tmp_path / "none", "doctor", *argv, HOME=str(tmp_path))
        assert (done.returncode, done.stdout) == (2, "")
        assert "there is no kubeconfig" in done.stderr
    done = run(tmp_path / "none", "doctor", by="kubectl", PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (3, "")
    assert "gpuctl-host[k8s]" in done.stderr and "--from" in done.stderr


# rbac


@pytest.mark.parametrize("by", PROGRAMS)
def test_rbac_tells_what_this_identity_lacks_by_gets_alone(server: Server, config: Path, by: str) -> None:
    assert run(config, "rbac", "--missing", by=by).returncode == 0
    assert len(server.asked) >= len(LISTS) and all("limit=1" in path for path in server.asked if "/version" not in path)
    server.faults = {"/resourceslices": [forbidden("ResourceSlice")], "/pods": [forbidden("Pod")]}
    done = run(config, "rbac", "--missing", by=by)
    assert done.returncode == 1
    assert "lacks 2 of 13 rules" in done.stdout and "get, list resourceslices.resource.k8s.io" in done.stdout
    missing = conforms("k8s-rbac", run(config, "rbac", "--missing", "--json", by=by).stdout)["missing"]
    assert [one["rule"] for one in missing] == ["get, list pods", "get, list resourceslices.resource.k8s.io"]  # type: ignore[attr-defined]
    assert run(config, "rbac", "--context", "here").returncode == 2


# Hostile


def test_hostile_objects_are_no_trouble(server: Server, config: Path, tmp_path: Path) -> None:
    evil = "[bold]x[/bold]\x1b[31m\u202e"
    odd = {"nvidia.com/gpu": "-8", "cpu": "1e3", "memory": "9E", "pods": "1e9999"}
    server.lists["Node"].append(node(evil, labels={"a": "x" * 10**6, "nvidia.com/gpu.product": evil}, capacity=odd))
    server.lists["Pod"] += [
        pod(evil, 1, namespace=evil),
        pod("q", 2, on=evil),
        pod("r", on=evil, requests={"cpu": "-7"}),
    ]
    path = tmp_path / "cluster.gz"
    assert run(config, "collect", "-o", str(path)).returncode == 0
    assert path.stat().st_size < 20_000
    told = run(config, "doctor", "-v", FORCE_COLOR="1")
    assert told.returncode == 1 and "Traceback" not in told.stderr
    assert "\u202e" not in told.stdout and "[bold]x[/bold]" in told.stdout
    assert run("", "doctor", "-v", "--from", str(path), FORCE_COLOR="1").stdout == told.stdout


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind": "NodeList", "items": [' + b"[" * 1_000_000,
        b'{"kind": "NodeList", "items": [{"metadata": {"name": "a"}, "x": ' + b'{"a": ' * 1_000_000,
        b'{"kind": "NodeList", "items": [{"metadata": {"name": ' + b"1" * 1_000_000 + b"}}]}",
        b'{"kind": "NodeList", "items": [{"metadata": {"name": "a\xff"}, "spec": []}]}',
        b'{"kind": "NodeList", "items": 7}',
        b"[1]",
    ],
    ids=["lists", "objects", "number", "types", "no items", "list"],
)
def test_what_is_no_list_is_told_in_little(server: Server, config: Path, body: bytes) -> None:
    server.faults = {"/nodes": [lambda answers: answers.send(200, body)]}
    done = run(config, "doctor")
    assert (done.returncode, done.stderr) == (3, "")
    assert "The API did not give the lists of nodes" in done.stdout and len(done.stdout) < 9000
