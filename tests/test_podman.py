"""Giving a real Podman the GPUs through a generated CDI specification; nvidia-ctk and the devices are simulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import installing
import pytest
from simhost import Done, SimHost, Toolkit
from simhost.dockerd import busybox_tar

SPEC, REFRESHED = "/etc/cdi/nvidia.yaml", "/run/cdi/nvidia.yaml"
LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
ENV = '"env": ["A=1"]'
STORAGE = '[storage]\ndriver = "vfs"\nrunroot = "/run/store"\ngraphroot = "/var/lib/store"\n'
GPU = '{"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [{"name": "all", "containerEdits": {%s}}]}\n'


@pytest.fixture
def new_host(toolkit: Toolkit, sim_host: Callable[..., SimHost]) -> Callable[..., SimHost]:
    """`new_host(cdi="0.7.0", …)` gives a V100's host with Podman and a toolkit that generates that version."""

    def make(cdi: str = "0.5.0", absent: tuple[str, ...] = (), **options: Any) -> SimHost:
        toolkit.install("v100", cdi=cdi, mounts=["/etc/os-release"])
        env = {"STORAGE_DRIVER": "vfs"}  # the host's own root is an overlay already
        return sim_host("v100", toolkit=toolkit, env=env, absent=["/var/lib/containers", *absent], **options)

    return make


def install(host: SimHost, *options: str) -> dict[str, Any]:
    return installing.install(host, "podman", *options)


@pytest.fixture
def podman(toolkit: Toolkit) -> Iterator[Callable[..., Done]]:
    """`podman(host, "all", "env")` runs a command in a busybox container that asks for that GPU."""
    store = [
        "--root",
        f"{toolkit.directory}/store",
        "--runroot",
        f"{toolkit.directory}/run",
        "--cgroup-manager=cgroupfs",
    ]
    config = toolkit.directory / "containers.conf"
    config.write_text("[engine]\nno_pivot_root = true\n")  # the host is a chroot
    hosts: list[SimHost] = []

    def run(host: SimHost, gpu: str, *command: str) -> Done:
        call = ["podman", *store, "--runtime=runc"]
        if host not in hosts:
            hosts.append(host)
            (toolkit.directory / "image.tar").write_bytes(busybox_tar())
            assert host.run([*call, "import", f"{toolkit.directory}/image.tar", "busybox"]).code == 0
        asked = ["run", "--rm", "--network=none", *LIMITS, f"--device=nvidia.com/gpu={gpu}", "busybox", *command]
        return host.run([*call, *asked], real_proc=True, env={"CONTAINERS_CONF": str(config)})

    yield run
    for host in hosts:
        host.run(["podman", *store, "rmi", "--all", "--force"])


def seen(host: SimHost) -> dict[str, tuple[int, int, bytes]]:
    """Inode, time of modification and content of all that lies in /etc/cdi."""
    folder = host.path(SPEC).parent
    found = folder.iterdir() if folder.is_dir() else ()
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def test_a_container_gets_what_the_generated_specification_says(
    new_host: Callable[..., SimHost], podman: Callable[..., Done]
) -> None:
    host = new_host()
    done = install(host)
    assert (done["changed"], done["verified"], done["code"]) == (True, True, 0)
    assert "+kind: nvidia.com/gpu" in done["diff"]
    got = podman(host, "all", "sh", "-c", "env; ls /dev; cat /etc/os-release")
    assert got.code == 0, got.err
    assert {"NVIDIA_VISIBLE_DEVICES=void", "nvidia0", "nvidia-uvm", "ID=debian"} <= set(got.out.split())

    before = seen(host)
    again = install(host)
    assert (again["changed"], again["verified"], seen(host)) == (False, True, before)


def test_a_specification_that_says_the_same_in_another_order_is_left_as_it_is(new_host: Callable[..., SimHost]) -> None:
    host = new_host()
    install(host)
    head, _, edits = host.path(SPEC).read_text().partition("containerEdits:\n  env")
    other = "containerEdits:\n  env" + edits + head.removeprefix("---\n") + "# by hand\n"
    host.path(SPEC).write_text(other)
    assert (install(host)["changed"], host.path(SPEC).read_text()) == (False, other)


def test_a_specification_is_taken_back_without_podman_for_whatever_engine_reads_it(
    new_host: Callable[..., SimHost],
) -> None:
    stub = "#!/bin/sh\ncase $1 in --version) echo podman version 5.4.2;; *) echo {};; esac\n"
    host = new_host(absent=("/usr/bin/podman",), commands={"podman": stub})
    assert install(host)["changed"]
    host.path("/usr/local/sbin/podman").unlink()
    done = host.gpuctl("rollback", "--json")
    assert (done.code, seen(host).keys() & {"nvidia.yaml"}) == (0, set()), done.err
    assert done.json["notes"] == ["Engines read CDI specifications for every container anew: nobody has to be told."]


@pytest.mark.parametrize("command", ["uninstall-runtime", "rollback"])
def test_a_specification_is_taken_back_where_podman_and_nvidia_ctk_are_there(
    new_host: Callable[..., SimHost], command: str
) -> None:
    host = new_host()
    assert install(host)["changed"]
    done = host.gpuctl(command, "--json")
    assert (done.code, done.json["changed"], seen(host).keys() & {"nvidia.yaml"}) == (0, True, set()), done.err


@pytest.mark.parametrize("command", ["uninstall-runtime", "rollback"])
def test_a_specification_that_did_not_fit_the_host_before_comes_back_as_it_was(
    new_host: Callable[..., SimHost], command: str
) -> None:
    stale = GPU % '"deviceNodes": [{"path": "/dev/nvidia-uvm", "major": 510, "minor": 0}]'
    host = new_host(files={SPEC: stale, "/etc/containers/storage.conf": STORAGE})
    assert install(host)["changed"]
    done = host.gpuctl(command, "--json")
    assert (done.code, done.json["changed"], host.path(SPEC).read_text()) == (0, True, stale), done.out


def test_what_nvidia_cdi_refresh_keeps_is_left_alone_and_judged(new_host: Callable[..., SimHost]) -> None:
    nodes = '"deviceNodes": [{"path": "/dev/nvidia-uvm", "major": %d, "minor": 0}]'
    well = new_host(files={REFRESHED: GPU % (nodes % 508)})
    done = install(well)
    assert (done["changed"], done["verified"], seen(well)) == (False, True, {})
    assert any("/var/run/cdi/nvidia.yaml names the GPUs already" in note for note in done["notes"])
    before_the_boot = new_host(files={REFRESHED: GPU % (nodes % 510)})
    assert "/dev/nvidia-uvm is 508:0 now, not 510:0" in install(before_the_boot)["problem"]


def test_podman_5_5_which_does_not_read_var_run_is_given_a_file_of_its_own(new_host: Callable[..., SimHost]) -> None:
    podman = {
        "podman": '#!/bin/sh\ncase $1 in --version) echo podman version 5.5.1;; *) exec /usr/bin/podman "$@";; esac\n'
    }
    host = new_host(files={REFRESHED: GPU % ENV}, commands=podman)
    assert (install(host)["changed"], "nvidia.yaml" in seen(host)) == (True, True)


def test_a_second_file_beside_one_that_names_the_gpus_is_refused_because_podman_resolves_neither(
    new_host: Callable[..., SimHost], podman: Callable[..., Done]
) -> None:
    other = "/etc/cdi/vendor.json"
    host = new_host(files={other: GPU % ENV})
    assert f"{other} names nvidia.com/gpu devices already" in install(host)["refused"]
    assert list(seen(host)) == ["vendor.json"]
    assert podman(host, "all", "true").code == 0
    host.path(SPEC).write_text(GPU % ENV)
    assert "unresolvable CDI devices nvidia.com/gpu=all" in podman(host, "all", "true").err


def test_a_specification_that_this_podman_refuses_is_not_written(
    new_host: Callable[..., SimHost], podman: Callable[..., Done]
) -> None:
    host = new_host(cdi="0.7.0")
    refused = install(host)["refused"]
    assert "does not take what this toolkit generates: CDI 0.7.0 needs Podman 5.1.0" in refused
    assert seen(host) == {}
    host.path("/etc/cdi").mkdir(exist_ok=True)
    host.path(SPEC).write_text((GPU % ENV).replace("0.5.0", "0.7.0"))
    assert "unresolvable CDI devices" in podman(host, "all", "true").err


@pytest.mark.parametrize(
    ("wish", "settings", "files", "words"),
    [
        ([], {"cdi_error": "failed to initialize NVML: Driver Not Loaded"}, {}, "NVML: Driver Not Loaded."),
        ([], {"cdi": "[red]"}, {}, "is no CDI specification: its cdiVersion is missing or not valid."),
        ([], {}, {SPEC: "# mine\n"}, f"{SPEC} is no specification of nvidia.com/gpu. Use --force to replace it."),
        (["--config=/etc/cdi/nvidia.yml"], {}, {}, "no place for a CDI specification"),
        (["--set-default"], {}, {}, "there is no default to set"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence_and_changes_nothing(
    new_host: Callable[..., SimHost],
    toolkit: Toolkit,
    wish: list[str],
    settings: dict[str, Any],
    files: dict[str, str],
    words: str,
) -> None:
    host = new_host(files=files)
    toolkit.configure("v100", **settings)
    before = seen(host)
    assert words in install(host, *wish)["refused"]
    assert seen(host) == before


def test_a_host_without_gpus_toolkit_or_a_new_enough_podman_is_told_so(
    new_host: Callable[..., SimHost], sim_host: Callable[..., SimHost]
) -> None:
    assert "found no GPU" in install(new_host(nodes=()))["refused"]
    done = install(sim_host("v100"))
    assert "nvidia-ctk, which generates the CDI specification, is not on PATH." in done["refused"]
    assert done["remedy"]["commands"]
    old = install(new_host(commands={"podman": "#!/bin/sh\necho podman version 3.0.1\n"}))
    assert "Podman 3.0.1 does not take CDI devices: that came with 4.1.0." in old["refused"]
    assert "--hooks-dir=/usr/share/containers/oci/hooks.d" in old["remedy"]["text"]
    assert "Podman is not installed" in install(new_host(absent=("/usr/bin/podman",)))["refused"]
