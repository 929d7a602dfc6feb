"""`gpuctl k8s collect --hosts`: a real Podman plays the manifests, and what comes is what the node itself would say."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from k8s_objects import accepted, node, text_of
from ruamel.yaml import YAML
from simhost import Bed, Toolkit, warm
from simhost.host import SYSTEM_PATH
from simhost.process import until
from test_k8s_smoke import GPU_NODE, Cluster, podman_host, pods
from test_k8s_smoke import IMAGE as NO_PYTHON

from gpuctl.fleet.payload import build
from gpuctl.fleet.run_folder import read_run
from gpuctl.host.record.printed import NotPrinted, printed, read_printed
from gpuctl.k8s.collecting import collect_pod

__all__ = ["podman_host", "pods"]
ROOT = Path(__file__).parents[1]
IMAGE = "docker.io/team/gpuctl:1"
ARCHIVE = "opt/gpuctl-collect.pyz"
PROFILE, PROFILE_TEXT = "etc/gpusim-profile", "GPUSIM_PROFILE=a100x8\n"
"""By which the simulated driver knows its GPUs."""
LEFT_OUT = (
    "site-packages",
    "test",
    "idlelib",
    "tkinter",
    "ensurepip",
    "lib2to3",
    "turtledemo",
    "unittest",
    "distutils",
)
LINKED = ("_ctypes", "_hashlib", "_ssl", "zlib")
"""Of the standard library what is linked to others'."""
FOLDERS = ("dev", "etc", "host", "opt", "proc", "sys", "tmp", "usr", "usr/bin")
SCHEMA = Draft202012Validator(json.loads((ROOT / "data/schemas/k8s-collect-hosts.schema.json").read_text()))


def image_with_python() -> bytes:
    """This Python as an image's, with what travels of gpuctl as the documented Dockerfile puts it there."""

    def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = entry.name.rpartition("/")[2]
        return None if name in LEFT_OUT or name.endswith((".opt-1.pyc", ".opt-2.pyc", ".a")) else entry

    program = os.path.realpath(sys.executable)
    folder = Path(sysconfig.get_path("stdlib"), "lib-dynload")
    extensions = [file for name in LINKED for file in folder.glob(f"{name}.*")]
    said = subprocess.run(["ldd", program, *extensions], capture_output=True, text=True, check=True).stdout
    libraries = {word for word in said.split() if word.startswith("/") and not word.endswith(":")}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for folder in FOLDERS:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for file in (program, *libraries):
            tar.add(os.path.realpath(file), file.lstrip("/"))
        tar.add(sysconfig.get_path("stdlib"), sysconfig.get_path("stdlib").lstrip("/"), filter=wanted)
        link = tarfile.TarInfo("usr/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, program
        tar.addfile(link)
        for name, content in ((ARCHIVE, build().raw), (PROFILE, PROFILE_TEXT.encode())):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return raw.getvalue()


@pytest.fixture
def nodes(pods: Cluster, bed: Bed, toolkit: Toolkit) -> Cluster:
    with (toolkit.directory / "containers.conf").open("a") as file:
        file.write('utsns = "host"\n')  # as kubelets have it for pods with the node's network
    pods.host.path(f"/{PROFILE}").write_text(PROFILE_TEXT)
    (toolkit.directory / "python.tar").write_bytes(image_with_python())
    environment = [f"--change=ENV {one}" for one in ("PATH=/usr/bin", f"PYTHONPATH=/{ARCHIVE}")]
    imported = pods.host.run(["podman", "import", *environment, f"{toolkit.directory}/python.tar", IMAGE])
    assert imported.code == 0, imported.err
    pods.play()
    return pods


def collect(nodes: Cluster, *options: str, image: str = IMAGE) -> tuple[int, dict[str, Any]]:
    argv = ("k8s", "collect", "--hosts", "--image", image, "--json", *options)
    done = nodes.host.gpuctl(*argv, real_proc=True, env=nodes.env, cwd="/home/sim")
    assert done.out, done.err
    SCHEMA.validate(done.json)
    nodes.none_is_left()
    return done.code, done.json


def test_a_pods_snapshot_is_judged_as_the_node_itself_is(nodes: Cluster) -> None:
    code, said = collect(nodes, "-o", "/home/sim/nodes")
    assert code == 0, [p.read_text()[-1500:] for p in nodes.folder.glob("*.log")]
    (one,) = said["nodes"]
    assert one["file"] == "/home/sim/nodes/gpu-1.jsonl.gz"
    assert nodes.host.path(one["file"]).stat().st_mode & 0o777 == 0o600
    found = nodes.host.gpuctl("doctor", "--json", "--from", one["file"], env=nodes.env).json
    # A daemon's PATH: that of the person who plays the node leads to the test's own programs.
    seen = nodes.host.gpuctl("doctor", "--json", real_proc=True, env={"PATH": SYSTEM_PATH}).json
    assert found["host"] == seen["host"]
    both = [{one["id"]: (one["status"], one["message"]) for one in said["findings"]} for said in (found, seen)]
    assert both[0] == both[1]
    argv = ("k8s", "doctor", "--node", "gpu-1", "--hosts", said["folder"], "--from", "-", "--json")
    chain = nodes.host.gpuctl(*argv, stdin=text_of(GPU_NODE)).json["chain"]
    assert [(link["link"], link["gpus"]) for link in chain][:2] == [("on the bus", 8), ("in NVML", 8)]
    nodes.host.gpuctl("fleet", "merge", said["folder"], "-o", "/home/sim/run")
    merged = read_run(str(nodes.host.path("/home/sim/run")))
    assert (list(merged.outcomes), merged.unreported) == ([seen["host"]["hostname"]], ())
    nodes.play(cuts=4000)
    assert lost(nodes)["cause"] == "Of its log: it ends amid a snapshot."


def lost(nodes: Cluster, image: str = IMAGE) -> dict[str, Any]:
    """The only node, of which nothing was recorded."""
    code, said = collect(nodes, image=image)
    (one,) = said["nodes"]
    assert (code, one["file"]) == (3, None)
    return dict(one)


def test_pods_that_give_nothing_are_one_sentence_each_and_gone(pods: Cluster) -> None:
    pods.play(refuses='pods "x" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostPID=true)')
    one = lost(pods)
    assert one["cause"].startswith("Pod Security of the namespace refuses the pod: ") and "\n" not in one["cause"]
    (command,) = one["remedy"]["commands"]
    assert command.startswith("kubectl label namespace default pod-security.kubernetes.io/enforce=privileged")
    pods.play(waits={"reason": "ImagePullBackOff", "message": "Back-off pulling image"})
    assert lost(pods)["cause"] == "The pod does not start: ImagePullBackOff: Back-off pulling image"
    pods.play()
    assert lost(pods, NO_PYTHON)["cause"] == "The image has no gpuctl that can do this."


def test_who_breaks_it_off_leaves_no_pod(pods: Cluster) -> None:
    pods.play(waits={"reason": "ContainerCreating"})
    process = pods.host.popen(
        [sys.executable, "-m", "gpuctl", "k8s", "collect", "--hosts", "--image", IMAGE],
        **{"real_proc": True, "env": pods.env, "cwd": "/home/sim"},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE},
    )
    assert until(lambda: bool(list(pods.folder.glob("*.pod.json"))))
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(300) == 128 + signal.SIGINT
    process.communicate()
    pods.none_is_left()


# What is asked for


def run(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return warm.gpuctl("k8s", "collect", *argv, stdin=stdin)


def test_a_dry_run_prints_the_pods_and_why_nodes_get_none() -> None:
    lists = text_of(GPU_NODE, node("b", cordoned=True), node("bare", None), node("off", ready="False"), node("../etc"))
    argv = ("--hosts", "--image", IMAGE, "--dry-run", "--from", "-")
    done = run(*argv, stdin=lists)
    manifests = list(YAML(typ="safe", pure=True).load_all(done.stdout))
    assert [one["spec"]["nodeName"] for one in manifests] == ["gpu-1", "b"]
    assert "off: it is not ready" in done.stderr and "../etc: its name is none" in done.stderr
    said = json.loads(run(*argv, "--json", "--node", "bare", stdin=lists).stdout)
    SCHEMA.validate(said)
    assert [one["spec"]["nodeName"] for one in said["manifests"]] == ["bare"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--hosts",), "--hosts wants --image"),
        (("--image", IMAGE), "go with --hosts"),
        (("--hosts", "--image", IMAGE, "--from", "-"), "--from goes with --dry-run"),
        (("--hosts", "--image", IMAGE, "--dry-run", "--from", "-", "--node", "none"), "there is no node none"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(argv: tuple[str, ...], words: str) -> None:
    done = run(*argv, stdin=text_of(GPU_NODE))
    assert (done.returncode, done.stdout) == (2, "") and words in " ".join(done.stderr.split())


@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_every_version_of_kubernetes_accepts_the_manifest(version: str) -> None:
    assert accepted(dict(collect_pod("a", "default", IMAGE, "0badcafe", 0, 300).manifest), version)


def test_a_snapshot_comes_whole_out_of_a_log_or_not_at_all() -> None:
    raw = gzip.compress(os.urandom(30_000))
    log = f"a warning\n{printed(raw)}another\n"
    assert read_printed(log) == raw
    assert max(map(len, log.splitlines())) < 16 << 10
    damaged = gzip.compress(b"x" * 99)[:-1] + b"\1"
    for broken in ("", "a warning", log[:20_000], printed(b"no gzip"), printed(damaged), log.replace("A", "\x1b")):
        with pytest.raises(NotPrinted):
            read_printed(broken)


# Nodes on which nothing can be installed

LIBRARY = "libnvidia-ml.so.1"
BARE = {
    "cos": "/home/kubernetes/bin/nvidia/lib64",
    "talos": "/usr/local/glibc/usr/lib",
    "bottlerocket": "/x86_64-bottlerocket-linux-gnu/sys-root/usr/lib/nvidia",
    "nixos": "/nix/store/driver/lib",
}
"""By ID in os-release, where the driver's libraries are. The last has but a link to them where they are looked for."""
MOUNTED = """
for folder in proc sys dev run; do mount --rbind /$folder /node/$folder || exit; done
mount --bind /node /node && mount -o remount,ro,bind /node || exit
for folder in proc sys dev run; do mount --rbind /$folder /node/$folder || exit; done
exec "$0" -m gpuctl.collector --pod /node
"""


@pytest.mark.parametrize("system", BARE)
def test_a_root_that_is_read_only_and_has_no_program_is_recorded_with_its_gpus(
    sim_host: Any, bed: Bed, system: str
) -> None:
    host = sim_host("a100x8", userland=False)
    root, version = host.path("/node"), host.profile.driver
    for folder in (*FOLDERS, "run", "usr/lib64", BARE[system][1:]):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "etc/os-release").write_text(f"ID={system}\nVERSION_ID=1\n")
    (root / PROFILE).write_text(PROFILE_TEXT)
    folder = root / BARE[system][1:]
    (folder / f"{LIBRARY.removesuffix('1')}{version}").write_bytes(bed.library.read_bytes())
    (folder / LIBRARY).symlink_to(f"{LIBRARY.removesuffix('1')}{version}")
    if system == "nixos":
        (root / "usr/lib64" / LIBRARY).symlink_to(f"{BARE[system]}/{LIBRARY}")
    done = host.run(["unshare", "--mount", "sh", "-c", MOUNTED, sys.executable], env={"PATH": SYSTEM_PATH})
    assert done.code == 0, done.err
    recorded = host.path("/home/sim/node.jsonl.gz")
    recorded.write_bytes(read_printed(done.out))
    said = host.gpuctl("doctor", "--json", "--from", "/home/sim/node.jsonl.gz").json
    assert (said["host"]["gpus"], said["host"]["gpus_in_nvml"]) == (8, 8)
    assert {one["id"] for one in said["findings"] if one["status"] == "fail"}.isdisjoint(
        {"driver.nvml", "driver.version-agrees"}
    )
