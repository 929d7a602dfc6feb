"""install-runtime on Docker 28, which has `dockerd --validate`, and is run in a root of its own release."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from realhost import FORKY, build_root
from simhost import Dockerd, SimHost, Toolkit, import_image

IMAGE = "nvidia/cuda:10.1-base"
OLD = '{"debug": true}\n'


@pytest.fixture
def ready(
    toolkit: Toolkit, new_dockerd: Callable[..., Dockerd], sim_host: Callable[..., SimHost]
) -> tuple[SimHost, Dockerd]:
    """A host with the toolkit and a Docker 28 that does not know of it yet."""
    toolkit.install("v100")
    daemon = new_dockerd(config=OLD, path=[toolkit.directory], system=build_root(FORKY))
    return sim_host("v100", toolkit=toolkit, dockerd=daemon), daemon


def test_the_runtime_is_registered_proved_by_gpu_containers_and_rolled_back(ready: tuple[SimHost, Dockerd]) -> None:
    host, daemon = ready
    assert daemon.docker("version", "--format={{.Server.Version}}").out.startswith("28.")
    import_image(daemon, IMAGE)
    daemon.docker("run", "-d", "--name=old", "--network=none", IMAGE, "sh", "-c", "trap exit TERM; sleep 600 & wait")
    before = daemon.docker("inspect", "--format={{.State.Pid}} {{.State.StartedAt}}", "old").out

    done = host.gpuctl("install-runtime", "--json", "--set-default")
    assert [done.code, *(done.json[key] for key in ("changed", "reloaded", "verified"))] == [0, True, True, True]
    assert daemon.docker("info", "--format={{.DefaultRuntime}}").out == "nvidia\n"
    for options in (("--runtime=nvidia",), ("--gpus=all",)):
        shown = daemon.docker("run", "--rm", "--network=none", *options, IMAGE, "nvidia-smi", "-L")
        assert "Tesla V100" in shown.out, shown.err

    undone = host.gpuctl("rollback", "--json")
    assert (undone.code, undone.json["verified"], daemon.config.read_text()) == (0, True, OLD), undone.err
    assert daemon.docker("inspect", "--format={{.State.Pid}} {{.State.StartedAt}}", "old").out == before


def test_what_dockerd_refuses_is_refused_in_its_words_before_the_file_counts(ready: tuple[SimHost, Dockerd]) -> None:
    host, daemon = ready
    text = '{"mtu": 1.5e3}\n'
    daemon.config.write_text(text)
    done = host.gpuctl("install-runtime", "--json")
    assert done.code in (1, 4), done.out
    assert f"with file {daemon.config}: " in done.json["error"] and "mtu of type int" in done.json["error"]
    assert done.json["error"].startswith("dockerd --validate refuses the new file: ")
    assert [path.read_text() for path in daemon.config.parent.glob("*daemon.json*")] == [text]
    assert "Got signal to reload" not in daemon.log.read_text()


@pytest.mark.parametrize(
    "text", ["", "null\n", '\ufeff{"debug": true}\n', '{"features": {"cdi": true, "buildkit": false}}\n']
)
def test_what_docker_28_takes_up_it_also_starts_with(ready: tuple[SimHost, Dockerd], text: str) -> None:
    host, daemon = ready
    daemon.config.write_text(text)
    done = host.gpuctl("install-runtime", "--json")
    assert (done.code, done.json["verified"]) == (0, True), done.json["error"]
    assert text[-2:] != "}\n" or daemon.config.read_text().startswith(text[:-2])
    daemon.restart()
    assert "nvidia" in daemon.docker("info", "--format={{json .Runtimes}}").out


def test_a_specification_is_written_where_there_is_no_podman_and_taken_out_again(
    toolkit: Toolkit, new_dockerd: Callable[..., Dockerd], sim_host: Callable[..., SimHost]
) -> None:
    toolkit.install("v100")
    daemon = new_dockerd(config=OLD, path=[toolkit.directory], system=build_root(FORKY))
    host = sim_host("v100", toolkit=toolkit, dockerd=daemon, absent=["/usr/bin/podman"])
    spec = host.path("/etc/cdi/nvidia.yaml")

    planned = host.gpuctl("install-runtime", "--cdi", "--dry-run", "--json")
    assert (planned.code, spec.exists()) == (0, False) and "+kind: nvidia.com/gpu" in planned.json["diff"]
    done = host.gpuctl("install-runtime", "--cdi", "--json")
    assert (done.code, done.json["verified"], len(done.json["files"])) == (0, True, 2), done.json["error"]
    assert any("A driver upgrade makes it out of date" in note for note in done.json["notes"])
    generated = spec.read_text()
    assert "/dev/nvidia0" in generated
    again = host.gpuctl("install-runtime", "--cdi", "--json")
    assert (again.json["changed"], any("fits this host" in note for note in again.json["notes"])) == (False, True)

    spec.write_text(generated.replace("/dev/nvidia0", "/dev/nvidia9"))  # a card was taken out
    assert "changed: /etc/cdi/nvidia.yaml\n" in host.gpuctl("install-runtime", "--cdi").out
    assert spec.read_text() == generated
    assert "-kind: nvidia.com/gpu" in host.gpuctl("uninstall-runtime", "--dry-run", "--json").json["diff"]
    spec.write_text(generated + "# by hand\n")
    taken_out = host.gpuctl("uninstall-runtime", "--json")
    assert (taken_out.code, spec.exists(), daemon.config.read_text()) == (0, True, OLD), taken_out.json["error"]
    assert any("written anew by others since: it stays" in note for note in taken_out.json["notes"])


def test_without_the_program_that_the_specification_calls_nothing_is_written(
    ready: tuple[SimHost, Dockerd], toolkit: Toolkit
) -> None:
    host, daemon = ready
    toolkit.configure("v100", hook="/opt/gone/nvidia-cdi-hook")
    done = host.gpuctl("install-runtime", "--cdi", "--json")
    assert "What nvidia-ctk generates calls /opt/gone/nvidia-cdi-hook, which is not there." in done.json["error"]
    assert (done.code, host.path("/etc/cdi/nvidia.yaml").exists(), daemon.config.read_text()) == (1, False, OLD)
