"""No secret passes: a corpus of the forms in which people and programs write them, and what is none and stays."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from synthetic import called, snapshots

from gpuctl.checks.every import diagnose
from gpuctl.checks.public import public
from gpuctl.command import command
from gpuctl.diagnose.scan import scan
from gpuctl.facts.collect import collect
from gpuctl.facts.gather import gather
from gpuctl.host.look.reading import Outcome, Reading, failure
from gpuctl.host.record.archive import decode
from gpuctl.host.record.redact import MASK, redact, without_secrets
from gpuctl.model import Evidence, Finding, Remedy, Status

pytestmark = pytest.mark.slow

DATA = Path(__file__).parent / "data" / "secrets.jsonl"
CORPUS: dict[str, Any] = {one["form"]: one for one in map(json.loads, DATA.read_text().splitlines())}
"""Each with its secret in parts: whole, it would look like a live one to whoever scans this repository."""
PIECE = 6
"""Letters: so many of a secret that stand together have passed."""


def passed(secret: str, shown: str) -> list[str]:
    """The pieces of a secret that can be read."""
    length = min(PIECE, len(secret))
    pieces = {secret[start : start + length] for start in range(len(secret) - length + 1)}
    return [piece for piece in pieces if piece in shown]


def test_the_corpus_is_as_large_as_promised_and_made_up() -> None:
    assert len(CORPUS) >= 150 and all(one["source"] and "§" in one["text"] for one in CORPUS.values())


@pytest.mark.parametrize("form", CORPUS)
def test_no_secret_of_the_corpus_passes(form: str) -> None:
    one = CORPUS[form]
    secret = "".join(one["parts"])
    text = one["text"].replace("§", secret)
    for around in (text, f"before\n{text}after\n", text * 2):
        shown, found = redact("run", "x", around)
        assert passed(secret, shown) == [] and found
        assert without_secrets(shown) == shown
    found_there = public(
        Finding("x.y", "x", Status.FAIL, text, (Evidence(text, text),), Remedy(text, (command(text),)))
    )
    assert passed(secret, repr(found_there)) == []
    in_grpc, _ = redact("call", "x", text)
    assert passed(secret, in_grpc) == [] and len(in_grpc) == len(text)


def test_a_folder_called_after_x86_64_alone_is_not_looked_through() -> None:
    path, longer = "/lib/x86_64-linux-gnu/libnvidia-ml.so.1", "/lib/x86_64-linux-gnuQ7xV2kLp9ZtR4mB8/libnvidia-ml.so.1"
    look = (
        "import sys; from gpuctl.checks.public import public; from gpuctl.model import Evidence, Finding, Status;"
        "one = public(Finding('x.y', 'x', Status.PASS, sys.argv[1], (Evidence(sys.argv[1], ''),)));"
        "print(one.message == sys.argv[1], 'gpuctl.host.record.redact' in sys.modules)"
    )
    said = [subprocess.run([sys.executable, "-c", look, text], capture_output=True).stdout for text in (path, longer)]
    assert [text.split() for text in said] == [[b"True", b"False"], [b"False", b"True"]]


STAYS = (
    "GPU-5a1c3e6b-0000-4000-8000-0123456789ab MIG-5A1C3E6B-0000-4000-8000-0123456789AB MIG-GPU-5a1c3e6b-0000-4000-8000-"
    "0123456789ab/1/0",
    "nvidia/cuda@sha256:3f4a9b0c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a",
    "nvcr.io/nvidia/pytorch:24.05-py3 docker.io/library/ubuntu:22.04",
    "/docker/3f4a9b0c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a/cri-containerd-0f9a8b7c6d5e4f3a2b1c0d9e.scope",
    "BOOT_IMAGE=/vmlinuz-6.8.0-45-generic root=UUID=0a1b2c3d-0000-4000-8000-0123456789ab ro iommu=pt nouveau.modeset=0",
    "NVRM: GPU 0000:3b:00.0: Xid (PCI:0000:3b:00): 79, pid=1234, name=python3, GPU has fallen off the bus.",
    "libnvidia-compute-535-server:amd64 (535.183.01-0ubuntu0.22.04.1, 535.216.01-0ubuntu0.22.04.1)",
    "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c NVreg_PreserveVideoMemoryAllocations",
    "NVreg_EnableS0ixPowerManagement=1 NVreg_RegistryDwords=RMUseSwI2c=0x01;RMI2cSpeed=100",
    "deb [signed-by=/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg] https://nvidia.github.io/libnvidia-container/",
    "gpgkey=https://nvidia.github.io/libnvidia-container/gpgkey gpgcheck=1",
    "Package: *\nPin: release o=pop-os-release\nPin-Priority: 1001\n\nPackage: x\nPin: origin example.org\n",
    '{"Authorization": null, "auths": {}, "authorization-plugins": ["opa"], "token": true, "tokens": 4096}',
    '"Env": ["PATH=/usr/bin", "NVIDIA_REQUIRE_CUDA=cuda>=12.4", "CUDA_VERSION=12.4.1", "NV_CUDA_LIB_VERSION=12.4.1-1"]',
    "Environment=DOCKER_OPTS=--dns=8.8.8.8 LD_LIBRARY_PATH=/usr/local/nvidia/lib64",
    'level=error msg="failed to authenticate: token is expired" author="x" keyring=none',
    "ssh://root@h curl -u 1000:1000 docker run -p 8080:80 systemctl show -p ActiveState mkdir -p /x iptables -p tcp",
    '["name=seccomp,profile=default", "name=rootless"]',
    "/usr/libexec/oci/hooks.d/00-nvidia.json nvidia-container-runtime-hook getty@tty1.service",
    "2026-11-30 05:14:03 install base-passwd:amd64 <none> 3.6.7",
    "Install: python3-jwt:all (2.6.0-1, automatic), login:amd64 (1:4.13), libtoken-perl:arm64 (1)",
    "SSH_AUTH_SOCK=/x authenc.ko: auth.ko passthrough: on bypass=1",
)


@pytest.mark.parametrize("text", STAYS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact("run", "x", text) == (text, ())


@pytest.mark.parametrize("snapshot", snapshots(), ids=called)
def test_a_recorded_host_is_judged_as_before_it_was_redacted(snapshot: Path) -> None:
    seen = decode(snapshot.read_bytes()).host
    redacted = collect(seen, "0.1.0", 0.0, anonymise=False)
    lost = {
        name for name, reading in seen.readings.items() if redacted.readings.get(name, reading).text != reading.text
    }
    assert not lost and diagnose(gather(redacted.host)).findings == diagnose(gather(seen)).findings


OF = (
    *"aAa1 \n-=:/&@.,\\[{(\"'|%$",
    *("password", "token ", "key=", '"key":', 'password="', "token=[", "name: A\n value: ", "pass: |\n a\n", "auth\\"),
    *("://", "://a:", "a:b@", "-p ", "-e A=", '"A=', "env=[", "- A=", "Environment=", "env:\n ", "$6$", "https://a/hook/"),
    *("{sha}", "digest ", "authorization:", "wandb ", "password ", "%3a%2f%2f", "basic ", "bearer ", "aB3", "0f"),
    *("\\\"", "%3a%2f%2f%40", "a.", "token=[\"\"", "PRIVATE " + "KEY-----", "-----"),
)  # fmt: skip
SIZE, SECONDS = 1 << 18, 60
"""Of processor time, for all of them. A pattern in quadratic time needs minutes for one."""


def test_no_text_takes_longer_than_its_length() -> None:
    program = f"""
import json, sys
from gpuctl.host.record.redact import redact
for of in json.load(sys.stdin):
    redact("read", "/etc/x", (of * ({SIZE} // len(of) + 1))[:{SIZE}])
"""
    limited = ["prlimit", f"--cpu={SECONDS}", sys.executable, "-c", program]
    done = subprocess.run(limited, input=json.dumps(OF), text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_program_said_of_its_failure_has_no_secret() -> None:
    said = "E: Failed to fetch https://ada:hunter2@apt.corp.example/dists/x/InRelease  401  Unauthorized"
    assert failure(Reading("apt-get update", Outcome.OK, code=100, detail=said)) == (
        f"exit status 100: E: Failed to fetch https://{MASK}@apt.corp.example/dists/x/InRelease  401  Unauthorized"
    )


def test_what_is_explained_is_shown_without_its_secrets() -> None:
    line = b'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]] '
    seen = scan(BytesIO(line + b"token=hunter2 -e DB_X=hunter2 https://ada:hunter2@r.example/\n"))
    assert seen and "hunter2" not in repr(seen)


def test_variables_leave_by_name_and_by_the_list() -> None:
    environ = "PATH=/usr/bin\0NVIDIA_VISIBLE_DEVICES=all\0CUDA_HOME=/usr/local/cuda\0EDITOR=vi\0NVIDIA_API_KEY=abc\0"
    shown, _ = redact("read", "/proc/1/environ", environ)
    assert shown == (
        f"PATH=/usr/bin\0NVIDIA_VISIBLE_DEVICES=all\0CUDA_HOME=/usr/local/cuda\0EDITOR={MASK}\0NVIDIA_API_KEY={MASK}\0"
    )
    shown, _ = redact("read", "/etc/default/docker", "# x\nDOCKER_OPTS='--dns 8.8.8.8'\nhttp_proxy=http://p:3128/\n")
    assert shown == f"# x\nDOCKER_OPTS='--dns 8.8.8.8'\nhttp_proxy={MASK}\n"


def test_settings_that_are_not_understood_are_masked_whole() -> None:
    for text in ("hunter", "{", '{"auths": {"r": {"auth": "x"}}'):
        assert redact("read", "/root/.docker/config.json", text)[0] == MASK


def test_of_a_container_leaves_what_says_how_it_gets_gpus_and_no_more() -> None:
    told = {
        "Id": "c0ffee",
        "Args": ["--key", "hunter2"],
        "Config": {"Env": ["NVIDIA_VISIBLE_DEVICES=all", "ODD=a]b hunter2"], "Labels": {"owner": "hunter2"}},
        "HostConfig": {"Runtime": "nvidia", "Binds": ["/home/hunter2:/x"], "DeviceRequests": [{"Driver": "cdi"}]},
    }
    for path in ("/containers/c0ffee/json", "/containers/json"):
        text, _ = redact("get", f"GET {path} (unix:///var/run/docker.sock)", json.dumps(told))
        left = json.loads(text)
        assert "hunter2" not in text and left["Config"]["Env"][0] == "NVIDIA_VISIBLE_DEVICES=all"
        assert (left["HostConfig"]["Runtime"], left["HostConfig"]["DeviceRequests"]) == ("nvidia", [{"Driver": "cdi"}])
