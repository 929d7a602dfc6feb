"""The toolkit's packages by the real apt and dnf, from signed repositories of stand-ins, in isolated roots."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest
from package_root import PackageRoot
from repositories import Repositories

TOOLKIT = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)
SOURCES = "/etc/apt/sources.list.d"
OURS = f"{SOURCES}/nvidia-container-toolkit.sources"
SUSE = 'ID=opensuse-leap\nNAME="openSUSE Leap"\nVERSION_ID="15.6"\nID_LIKE="suse opensuse"\n'
FEDORA = 'ID=fedora\nNAME="Fedora Linux"\nVERSION_ID="41"\n'


@pytest.fixture
def root(new_root: Callable[..., PackageRoot]) -> PackageRoot:
    return new_root()


@pytest.fixture
def site(repositories: Repositories) -> dict[str, str]:
    return {"repo_url": repositories.apt, "key_file": repositories.key}


def whole(version: str) -> dict[str, str]:
    return dict.fromkeys(TOOLKIT, f"{version}-1/installed")


def old_source(repositories: Repositories) -> str:
    return f"deb [trusted=yes] {repositories.apt} /\n"


def with_old(root: PackageRoot, repositories: Repositories) -> dict[str, str]:
    """A host of 2022: toolkit 1.16.2 with nvidia-docker2, by a source of the old kind."""
    root.write(f"{SOURCES}/nvidia-docker.list", old_source(repositories))
    versions = [f"{name}=1.16.2-1" for name in TOOLKIT]
    done = root.run("sh", "-c", 'apt-get -q update && apt-get -qy install "$@"', "sh", *versions, "nvidia-docker2")
    assert done.code == 0, done.err
    return root.installed()


def test_the_newest_toolkit_is_installed_once_and_a_plan_says_so_before(
    root: PackageRoot, site: dict[str, str]
) -> None:
    planned = root.drive("plan", **site)
    assert "1.18.0-1 with apt from file:///" in planned["steps"][0]
    assert planned["disturbs"] == ["nothing"]
    assert f"+++ {OURS}" in planned["diff"]
    assert "+Signed-By: /etc/apt/keyrings/nvidia-container-toolkit.asc" in planned["diff"]
    assert root.installed() == {}
    assert not root.path(OURS).exists()
    assert root.drive("install", **site)["changed"]
    assert root.installed() == whole("1.18.0")
    assert root.drive("install", **site) == {"changed": False, "steps": [], "disturbs": [], "diff": ""}


def test_a_version_is_pinned_for_all_packages_even_downwards_and_undone_without_the_repository(
    root: PackageRoot, site: dict[str, str]
) -> None:
    assert root.drive("install", version="1.18.0", **site)["changed"]
    assert root.drive("plan", version="1.17.8", **site)["disturbs"] == ["new containers"]
    assert root.drive("install", version="1.17.8-1", **site)["changed"]
    assert root.installed() == whole("1.17.8")
    root.path(OURS).write_text("")
    assert root.drive("undo", force=True) == {"undone": True}
    assert root.installed() == whole("1.18.0")
    assert root.path("/var/lib/gpuctl/packages").exists()


def test_undo_leaves_no_package_and_no_setting_where_none_was(root: PackageRoot, site: dict[str, str]) -> None:
    root.drive("install", **site)
    root.write("/etc/nvidia-container-runtime/config.toml", "# changed\n")
    assert root.drive("undo") == {"undone": True}
    assert root.installed() == {}
    assert not root.path("/etc/nvidia-container-runtime/config.toml").is_file()
    assert not root.path("/var/lib/gpuctl/packages").exists()
    assert root.drive("undo") == {"undone": True}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key_file": "other"}, "is not signed by this key (apt says: NO_PUBKEY"),
        ({"key_file": "/etc/hostname"}, "/etc/hostname is no OpenPGP public key."),
        ({"key_file": "/nowhere"}, "/nowhere does not exist."),
        ({"version": "1.17.9"}, "has no version 1.17.9 of the toolkit. It has 1.18.0, 1.17.8, 1.16.2."),
        ({"repo_url": "file:///nowhere"}, "cannot be read"),
        ({"repo_url": "http://127.0.0.1:9/deb"}, "cannot be read"),
        ({"repo_url": "https://user:secret@mirror/deb"}, "/etc/apt/auth.conf.d"),
        ({"repo_url": "mirror/deb"}, "not an address"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence_before_anything_changes(
    root: PackageRoot, repositories: Repositories, site: dict[str, str], change: dict[str, str], words: str
) -> None:
    if change.get("key_file") == "other":
        change = {"key_file": repositories.other}
    answer = root.drive("install", **{**site, **change})
    assert words in answer["refused"], answer
    assert "secret" not in answer["refused"]
    assert root.installed() == {}
    assert list(root.path("/etc/apt/sources.list.d").iterdir()) == []
    assert os.listdir(root.path("/var/lib/apt/lists")) == []


def test_nvidia_docker2_is_replaced_its_contradicting_source_silenced_and_both_come_back(
    root: PackageRoot, repositories: Repositories, site: dict[str, str]
) -> None:
    before = with_old(root, repositories)
    assert before == {**whole("1.16.2"), "nvidia-docker2": "2.13.0-1/installed"}
    root.write(f"{SOURCES}/libnvidia-container.list", f"deb [signed-by={repositories.key}] {repositories.apt} /\n")
    assert root.drive("doctor")["packages.sources-agree"][0] == "warn"
    assert root.drive("doctor")["packages.leftovers"][0] == "warn"
    planned = root.drive("plan", version="1.18.0", **site)
    assert planned["steps"][0].startswith("fetch what an undo needs")
    assert planned["steps"][1].endswith("in the place of nvidia-docker2 2.13.0-1")
    assert f"+# gpuctl: deb [trusted=yes] {repositories.apt} /" in planned["diff"]
    assert root.drive("install", version="1.18.0", **site)["changed"]
    assert root.installed() == whole("1.18.0")
    assert root.drive("doctor")["packages.sources-agree"][0] == "pass"
    assert root.drive("undo") == {"undone": True}
    assert root.installed() == {**before, "nvidia-container-toolkit": "1.16.2-1/installed"}


def test_what_could_not_be_put_back_is_not_replaced(
    root: PackageRoot, repositories: Repositories, site: dict[str, str]
) -> None:
    before = with_old(root, repositories)
    root.path(f"{SOURCES}/nvidia-docker.list").unlink()
    shutil.rmtree(root.path("/var/cache/apt/archives"), ignore_errors=True)
    answer = root.drive("install", version="1.18.0", **site)
    assert "can be had nowhere, so that it could not be put back" in answer["problem"]
    assert root.installed() == before
    assert not root.path(OURS).exists()


def test_a_held_package_is_respected(root: PackageRoot, site: dict[str, str]) -> None:
    root.drive("install", version="1.17.8", **site)
    root.run("apt-mark", "hold", "libnvidia-container1")
    answer = root.drive("install", version="1.18.0", **site)
    assert answer["refused"] == "libnvidia-container1 1.17.8-1 is held as it is, and gpuctl respects that."
    assert answer["remedy"] == ["apt-mark unhold libnvidia-container1"]
    assert root.installed() == whole("1.17.8")


def test_a_distribution_that_pins_its_own_toolkit_does_not_get_in_its_way(
    root: PackageRoot, repositories: Repositories, site: dict[str, str]
) -> None:
    root.write(f"{SOURCES}/distribution.list", f"deb [trusted=yes] file://{repositories.place}/distribution /\n")
    root.write("/etc/apt/preferences.d/distribution", "Package: *\nPin: release o=tests\nPin-Priority: 1001\n")
    root.run("apt-get", "update")
    assert root.drive("install", **site)["changed"]
    assert root.installed() == whole("1.18.0")


def test_a_broken_repository_of_somebody_else_does_not_get_in_its_way(root: PackageRoot, site: dict[str, str]) -> None:
    root.write(f"{SOURCES}/broken.list", "deb http://127.0.0.1:9/ stable main\n")
    assert root.drive("install", **site)["changed"]


def test_a_contradiction_of_somebody_elses_is_named_and_left_alone(root: PackageRoot, site: dict[str, str]) -> None:
    root.write(f"{SOURCES}/a.list", "deb [signed-by=/a.gpg] https://example.invalid/ stable main\n")
    root.write(f"{SOURCES}/b.list", "deb [signed-by=/b.gpg] https://example.invalid/ stable main\n")
    refused = root.drive("install", **site)["refused"]
    assert "https://example.invalid has one Signed-By in /etc/apt/sources.list.d/a.list" in refused


def test_a_package_that_fails_to_install_leaves_nothing_behind(root: PackageRoot, site: dict[str, str]) -> None:
    root.write("/srv/broken", "")
    problem = root.drive("install", **site)["problem"]
    assert problem.startswith("apt-get install failed: dpkg: error processing package ")
    assert "post-installation script subprocess returned error exit status 1" in problem
    assert root.installed() == {}
    assert not root.path(OURS).exists()
    assert root.drive("doctor")["packages.dpkg-whole"][0] == "pass"


def test_a_power_cut_in_the_middle_of_dpkg_is_seen_and_undone(root: PackageRoot, site: dict[str, str]) -> None:
    root.write("/srv/slow", "")
    root.cut_power("/usr/share/gpuctl-tests/libnvidia-container1", "install", **site)
    root.path("/srv/slow").unlink()
    assert root.installed()["libnvidia-container1"] != "1.18.0-1/installed"
    assert root.drive("doctor")["packages.dpkg-whole"][0] == "warn"
    assert "dpkg was interrupted" in root.drive("install", **site)["refused"]
    assert root.drive("undo") == {"undone": True}
    assert root.installed() == {}
    assert root.drive("doctor")["packages.dpkg-whole"][0] == "pass"


def test_undo_waits_for_what_a_killed_gpuctl_left_running(root: PackageRoot, site: dict[str, str]) -> None:
    assert root.drive("killed", **site) == {"undone": True}
    assert root.installed() == {}


@pytest.mark.parametrize(("manager", "os_release"), [("dnf", FEDORA), ("zypper", SUSE)])
def test_rpm_packages_are_installed_pinned_replaced_and_undone(
    new_root: Callable[..., PackageRoot], repositories: Repositories, manager: str, os_release: str
) -> None:
    root = new_root(os_release=os_release)
    site = {"repo_url": "http://127.0.0.1/rpm/x86_64", "key_file": repositories.key}
    wrong = root.drive("install", **{**site, "key_file": repositories.other})
    assert f"is not signed by this key ({manager} says: " in wrong["refused"]
    unknown = root.drive("install", version="1.0.0", **site)
    assert "has no version 1.0.0 of the toolkit. It has 1.18.0, 1.17.8." in unknown["refused"]
    assert root.installed() == {}
    assert root.drive("install", version="1.17.8", **site)["changed"]
    assert root.installed() == dict.fromkeys(TOOLKIT, "1.17.8")
    assert root.drive("install", version="1.17.8", **site)["changed"] is False
    old = root.run("rpm", "--install", f"{repositories.place}/rpm/x86_64/nvidia-docker2-2.13.0-1.x86_64.rpm")
    assert old.code == 0, old.err
    assert root.drive("install", version="1.18.0", **site)["changed"]
    assert root.installed() == dict.fromkeys(TOOLKIT, "1.18.0")
    assert root.drive("undo") == {"undone": True}
    assert root.installed() == {**dict.fromkeys(TOOLKIT, "1.17.8"), "nvidia-docker2": "2.13.0"}
