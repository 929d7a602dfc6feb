"""From a bare host to a passing smoke test, and back: packages by real apt, registration with a real Docker."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from repositories import Signer, build_apt
from simhost import Dockerd, SimHost, Toolkit, import_image
from simhost.process import Done

CONFIG = '{"debug": true}\n'
Site = tuple[str, str]


@pytest.fixture
def site(toolkit: Toolkit) -> Iterator[Site]:
    """A signed repository whose packages bring the toolkit's programs, which are not there before."""
    with ExitStack() as stack:
        place = Path(tempfile.mkdtemp(prefix="provisioning-"))
        stack.callback(shutil.rmtree, place)
        place.chmod(0o755)
        signer = Signer(place / "signer")
        stack.callback(signer.close)
        toolkit.install("v100")
        programs = {str(path): path.read_text() for path in toolkit.directory.iterdir() if path.suffix != ".json"}
        toolkit.remove()
        folder = build_apt(place / "deb", signer, ("1.17.8",), old=False, programs=programs)
        yield f"--repo-url=file://{folder}", f"--key-file={signer.public}"


@pytest.fixture
def ready(
    sim_host: Callable[..., SimHost], toolkit: Toolkit, new_dockerd: Callable[..., Dockerd], site: Site
) -> tuple[SimHost, Dockerd]:
    daemon = new_dockerd(config=CONFIG, path=[toolkit.directory])
    import_image(daemon)
    return sim_host("v100", toolkit=toolkit, dockerd=daemon), daemon


def installed(host: SimHost) -> str:
    return host.run(["dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\n", "*nvidia-container*"]).out


def test_from_a_bare_host_to_a_passing_smoke_test_and_back(
    ready: tuple[SimHost, Dockerd], site: Site, toolkit: Toolkit
) -> None:
    host, daemon = ready
    daemon.docker("run", "-d", "--name=old", "--network=none", "nvidia/cuda:10.1-base", "sleep", "600")
    before = daemon.docker("inspect", "--format={{.State.Pid}} {{.State.StartedAt}}", "old").out
    assert host.gpuctl("doctor").code == 1

    planned = host.gpuctl("install-runtime", "--install", *site, "--dry-run", "--json")
    assert (planned.code, planned.json["changed"]) == (0, True), planned.err + planned.out
    steps = [step["text"] for step in planned.json["steps"]]
    assert [step.split()[0] for step in steps] == ["write", "write", "install", "write", "reload"], steps
    assert (installed(host), daemon.config.read_text()) == ("", CONFIG)

    done = host.gpuctl("install-runtime", "--install", *site, "--json")
    assert (done.code, done.json["verified"]) == (0, True), done.err + done.out
    assert "nvidia-container-toolkit 1.17.8-1 installed" in installed(host)
    assert "done: install nvidia-container-toolkit" in done.err
    assert host.gpuctl("smoke", "--runtime", "nvidia").code == 0
    assert daemon.docker("inspect", "--format={{.State.Pid}} {{.State.StartedAt}}", "old").out == before
    again = host.gpuctl("install-runtime", "--install", *site, "--json")
    assert (again.code, again.json["changed"], again.json["verified"]) == (0, False, True)

    back = host.gpuctl("rollback", "--json")
    assert back.code == 0, back.err + back.out
    assert (installed(host), daemon.config.read_text()) == ("", CONFIG)
    assert not (toolkit.directory / "nvidia-container-runtime").exists()
    assert not list(host.path("/etc/apt/sources.list.d").glob("nvidia*"))


def test_a_bundle_takes_a_host_without_a_network_to_a_passing_smoke_test_and_back(
    ready: tuple[SimHost, Dockerd], site: Site
) -> None:
    host, daemon = ready
    key = site[1]
    file = Path(key.partition("=")[2]).with_name("toolkit.bundle")
    os = host.run(["sh", "-c", '. /etc/os-release; printf %s "$ID$VERSION_ID"']).out
    made = host.gpuctl("bundle", "--os", os, *site, "-o", str(file))
    assert (made.code, made.err) == (0, "")

    def offline(*argv: str) -> Done:
        return host.run(["unshare", "--net", sys.executable, "-m", "gpuctl", *argv])

    asked = ("install-runtime", "--from-bundle", str(file), key, "--json")
    planned = offline(*asked, "--dry-run")
    assert [step["text"].split()[0] for step in planned.json["steps"]] == ["install", "write", "reload"]
    assert (installed(host), daemon.config.read_text()) == ("", CONFIG)
    done = offline(*asked)
    assert (done.code, done.json["verified"]) == (0, True), done.err + done.out
    assert "nvidia-container-toolkit 1.17.8-1 installed" in installed(host)
    assert host.gpuctl("smoke", "--runtime", "nvidia").code == 0
    again = offline(*asked)
    assert (again.code, again.json["changed"], again.json["verified"]) == (0, False, True)
    assert offline("rollback").code == 0
    assert (installed(host), daemon.config.read_text()) == ("", CONFIG)


def test_packages_go_again_where_the_engine_does_not_take_up_what_follows(
    ready: tuple[SimHost, Dockerd], site: Site
) -> None:
    host, daemon = ready
    daemon.config.write_text('{"mtu": 1.5e3}\n')
    done = host.gpuctl("install-runtime", "--install", *site, "--json", "--timeout=1")
    assert done.code == 4, done.err + done.out
    assert "has not taken the file up" in done.json["error"]
    assert "The packages are as they were before." in done.json["error"]
    assert (installed(host), daemon.config.read_text()) == ("", '{"mtu": 1.5e3}\n')
    assert not list(host.path("/etc/apt/sources.list.d").glob("nvidia*"))


def test_options_of_packages_go_with_installing_only(sim_host: Callable[..., SimHost], site: Site) -> None:
    done = sim_host("v100").gpuctl("install-runtime", *site)
    assert (done.code, "go with --install" in done.err) == (2, True)
