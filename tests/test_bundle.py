"""`gpuctl bundle`, and what comes of it on hosts without a network: real apt, dnf and zypper, in isolated roots."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any
from zipfile import ZipFile

import pytest
from jsonschema import validate
from package_root import PackageRoot
from repositories import Repositories, Signer, build_apt, run, sign_apt
from simhost import warm
from simhost.process import Done

from gpuctl.facts.machine.distribution import probe_distribution
from gpuctl.host.look.local import LocalHost
from gpuctl.provision.bundle.archive import KEYS, Bundle, content_of, pack, unpack
from gpuctl.provision.bundle.openpgp import fingerprints

ROOT = Path(__file__).parents[1]
GPUCTL = (sys.executable, "-m", "gpuctl")
IN_ORDER = ["libnvidia-container1", "nvidia-container-toolkit-base", "libnvidia-container-tools"]
IN_ORDER += ["nvidia-container-toolkit"]
FEDORA = 'ID=fedora\nNAME="Fedora Linux"\nVERSION_ID="41"\n'
SUSE = 'ID=opensuse-leap\nNAME="openSUSE Leap"\nVERSION_ID="15.6"\nID_LIKE="suse opensuse"\n'


@pytest.fixture(scope="module")
def here() -> str:
    """This machine's operating system, as --os names it: an apt root is made of it."""
    told = probe_distribution(LocalHost()).value
    assert told
    return f"{told.id}{told.version}"


def bundle(*options: str) -> Done:
    done = warm.gpuctl("bundle", *options)
    assert "Traceback" not in done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def made(repositories: Repositories, here: str) -> Callable[..., str]:
    """`made(version, os)` makes a bundle where the roots see it, and returns its path."""

    def make(version: str = "1.18.0", os: str = here, *options: str) -> str:
        path = repositories.place / f"{os}-{version}.bundle"
        url = repositories.apt if os == here else f"file://{repositories.place}/rpm/x86_64"
        site = ("--repo-url", url, "--key-file", repositories.key, "--toolkit", version)
        done = bundle("--os", os, *site, *options, "-o", str(path))
        assert (done.code, done.err) == (0, "")
        return str(path)

    return make


def whole(version: str) -> dict[str, str]:
    return dict.fromkeys(IN_ORDER, f"{version}-1/installed")


def changed(path: str, change: Callable[[Bundle], Bundle]) -> str:
    """A bundle whose manifest agrees with what somebody has changed in it."""
    given = change(unpack(Path(path).read_bytes()))
    places = {one.path: one.place for one in given.manifest.files if one.path in given.files}
    own = {name: given.files[name] for name, place in places.items() if not place}
    files, members = content_of(own, {place: given.files[name] for name, place in places.items() if place})
    new = Bundle(replace(given.manifest, files=members), files)
    Path(f"{path}.changed").write_bytes(pack(new))
    return f"{path}.changed"


def with_file(path: str, name: str, content: Callable[[bytes], bytes]) -> str:
    def change(given: Bundle) -> Bundle:
        (full,) = [one for one in given.files if name in one]
        return replace(given, files={**given.files, full: content(given.files[full])})

    return changed(path, change)


# Made where there is a network


def test_a_bundle_is_a_tar_of_the_packages_in_their_order_and_the_same_bytes_each_time(
    repositories: Repositories, made: Callable[..., str]
) -> None:
    first = Path(made()).read_bytes()
    assert Path(made()).read_bytes() == first
    with tarfile.open(made()) as archive:
        names = archive.getnames()
        told = json.load(archive.extractfile("manifest.json") or pytest.fail())
    assert names[:3] == ["manifest.json", "key.asc", "repository/InRelease"]
    assert [one["name"] for one in told["packages"]] == IN_ORDER
    assert [one["file"] for one in told["packages"]] == names[-4:]
    assert {one["version"] for one in told["packages"]} == {"1.18.0-1"}


def test_what_was_made_is_said_as_text_as_json_and_on_stderr_where_the_bundle_goes_to_stdout(
    repositories: Repositories, here: str, tmp_path: Path
) -> None:
    site = ("--os", here, "--repo-url", repositories.apt, "--key-file", repositories.key)
    file = tmp_path / "toolkit.bundle"
    said = bundle(*site, "-o", str(file))
    assert said.out.startswith(f"Wrote {file}: 0.0 MB for {here}, amd64.\n")
    assert f"gpuctl install-runtime --from-bundle {file}" in said.out
    body = bundle(*site, "-o", str(file), "--json").json
    validate(body, json.loads((ROOT / "data/schemas/bundle.schema.json").read_text()))
    assert (body["toolkit"], body["bytes"]) == ("1.18.0-1", file.stat().st_size)
    assert body["fingerprint"] in run("gpg", "--with-colons", "--show-keys", repositories.key).decode()
    piped = subprocess.run([*GPUCTL, "bundle", *site, "-o", "-"], capture_output=True)
    assert piped.stdout == file.read_bytes()
    assert piped.stderr.startswith(b"Wrote to stdout: ")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"--key-file": "other"}, 1, "is not signed by this key (gpgv says: NO_PUBKEY"),
        ({"--key-file": "/etc/hostname"}, 2, "/etc/hostname is no OpenPGP public key."),
        ({"--key-file": "/nowhere"}, 2, "/nowhere does not exist."),
        ({"--toolkit": "1.17.9"}, 1, "has no version 1.17.9 of the toolkit. It has 1.18.0, 1.17.8, 1.16.2."),
        ({"--arch": "arm64"}, 1, "has no whole NVIDIA Container Toolkit."),
        ({"--repo-url": "file:///nowhere"}, 1, "InRelease cannot be fetched"),
        ({"--repo-url": "http://127.0.0.1:9/deb"}, 1, "InRelease cannot be fetched"),
        ({"--repo-url": "garbage"}, 2, "not an address"),
        ({"--repo-url": "https://user:secret@mirror/deb"}, 2, "names a user or a password"),
    ],
)
def test_what_cannot_be_bundled_is_a_sentence_and_no_file(
    repositories: Repositories, here: str, tmp_path: Path, change: dict[str, str], code: int, words: str
) -> None:
    change = {**change, "--key-file": repositories.other} if change.get("--key-file") == "other" else change
    options = {"--os": here, "--repo-url": repositories.apt, "--key-file": repositories.key, **change}
    done = bundle(*(word for option in options.items() for word in option), "-o", str(tmp_path / "file"))
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert "secret" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_without_a_verifier_nothing_is_taken(repositories: Repositories, here: str, tmp_path: Path) -> None:
    site = ("--os", here, "--repo-url", repositories.apt, "--key-file", repositories.key, "-o", str(tmp_path / "b"))
    done = subprocess.run([*GPUCTL, "bundle", *site], capture_output=True, text=True, env={"PATH": "/nowhere"})
    assert (done.returncode, done.stdout) == (3, "")
    assert "gpgv is not on PATH. It comes with the package gpgv, or gnupg2." in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("os", ["beos5", "ubuntu", "rhel-9", "22.04", "ubuntu 22.04", "arch2026", "../x1"])
def test_an_operating_system_that_has_no_packages_is_wrong_usage(os: str, tmp_path: Path) -> None:
    done = bundle("--os", os, "-o", str(tmp_path / "file"))
    assert (done.code, done.out) == (2, "")
    assert "is no distribution with its version, as ubuntu22.04" in done.err


def spoilt_list(folder: Path, repositories: Repositories) -> str:
    (folder / "Packages").write_bytes((folder / "Packages").read_bytes()[:-1] + b"x")
    return "Packages is not the file that the signed list names"


def spoilt_package(folder: Path, repositories: Repositories) -> str:
    deb = folder / "libnvidia-container1_1.18.0-1_amd64.deb"
    deb.write_bytes(deb.read_bytes()[:-1] + b"x")
    return "libnvidia-container1_1.18.0-1_amd64.deb is not the file that the signed list names"


def longer_package(folder: Path, repositories: Repositories) -> str:
    deb = folder / "libnvidia-container1_1.18.0-1_amd64.deb"
    deb.write_bytes(deb.read_bytes() + b"x")
    return "bytes, and is to have"


def spoilt_release(folder: Path, repositories: Repositories) -> str:
    (folder / "InRelease").write_text((folder / "InRelease").read_text().replace("Origin: tests", "Origin: other"))
    return "is not signed by this key (gpgv says: BADSIG"


def unsigned_release(folder: Path, repositories: Repositories) -> str:
    shutil.copy(folder / "Release", folder / "InRelease")
    return "is not signed by this key (gpgv says: no signature)"


def expired_signature(folder: Path, repositories: Repositories) -> str:
    repositories.signer.gpg(
        "--default-sig-expire", "seconds=1", "--clearsign", "-o", "InRelease", "Release", folder=folder
    )
    time.sleep(2)
    return "is not signed by this key (gpgv says: EXPSIG"


def text_around_what_is_signed(folder: Path, repositories: Repositories) -> str:
    genuine = (folder / "InRelease").read_text()
    words = spoilt_list(folder, repositories)
    (folder / "InRelease").unlink()
    (folder / "Release").unlink()
    (folder / "InRelease").write_text(run("apt-ftparchive", "release", ".", folder=folder).decode() + "\n" + genuine)
    return words


@pytest.mark.parametrize(
    "spoil",
    [
        *(spoilt_list, spoilt_package, longer_package, spoilt_release, unsigned_release, expired_signature),
        text_around_what_is_signed,
    ],
)
def test_what_the_repositorys_signature_does_not_vouch_for_comes_into_no_bundle(
    repositories: Repositories,
    here: str,
    tmp_path: Path,
    spoil: Callable[[Path, Repositories], str],
) -> None:
    folder = build_apt(tmp_path / "deb", repositories.signer, ("1.18.0",), old=False)
    site = ("--os", here, "--repo-url", f"file://{folder}", "--key-file", repositories.key, "-o", str(tmp_path / "b"))
    words = spoil(folder, repositories)
    done = bundle(*site)
    assert (done.code, done.out) == (1, "")
    assert words in done.err
    assert not (tmp_path / "b").exists()


def test_a_mirror_may_have_other_sums_and_lists_than_nvidia(
    repositories: Repositories, here: str, new_root: Callable[..., PackageRoot]
) -> None:
    folder = build_apt(repositories.place / "mirror", repositories.signer, ("1.18.0",), old=False)
    (folder / "Packages.gz").write_bytes(gzip.compress((folder / "Packages").read_bytes()))
    (folder / "Packages.xz").unlink()
    sign_apt(folder, repositories.signer, "SHA256", "MD5")
    file = str(repositories.place / "mirror.bundle")
    done = bundle("--os", here, "--repo-url", f"file://{folder}", "--key-file", repositories.key, "-o", file)
    assert (done.code, done.err) == (0, "")
    assert b"repository/Packages.gz" in run("tar", "-tf", file)
    assert new_root().drive("install", bundle=file, key_file=repositories.key)["changed"]


@contextmanager
def served(folder: Path, moved: str = "") -> Iterator[str]:
    """Gives the address of a server for a folder's files, or of one that sends on to another address."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if not moved:
                return super().do_GET()
            self.send_response(302)
            self.send_header("Location", f"{moved}{self.path}")
            return self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_mirror_may_be_without_tls_and_sends_nobody_to_a_file(
    repositories: Repositories, here: str, tmp_path: Path, made: Callable[..., str]
) -> None:
    site = ("--os", here, "--key-file", repositories.key, "-o", str(tmp_path / "b"), "--repo-url")
    with served(repositories.place / "deb") as url, served(tmp_path, url) as moved:
        for address in (url, moved):
            done = bundle(*site, address)
            assert (done.code, done.err) == (0, "")
    with served(tmp_path, repositories.apt) as to_file:
        done = bundle(*site, to_file)
        assert (done.code, done.out) == (1, "")
        assert "InRelease cannot be fetched: 127.0.0.1 answers with HTTP status 302." in done.err


def test_gpuctl_goes_along_as_a_single_file_of_the_same_release(
    repositories: Repositories, made: Callable[..., str], tmp_path: Path
) -> None:
    own = tmp_path / "gpuctl.pyz"
    with ZipFile(own, "w") as archive:
        archive.writestr("__main__.py", "print('gpuctl')\n")
        archive.write(ROOT / "gpuctl/__init__.py", "gpuctl/__init__.py")
    path = made("1.18.0", "fedora41", "--zipapp", str(own))
    run("tar", "-xf", path, "gpuctl.pyz", folder=tmp_path)
    assert run(sys.executable, str(tmp_path / "gpuctl.pyz")) == b"gpuctl\n"
    with ZipFile(own, "w") as archive:
        archive.writestr("__main__.py", "")
        archive.writestr("gpuctl/__init__.py", '__version__ = "0.0.1"\n')
    for wrong, words in {own: "it is gpuctl 0.0.1, and this is", Path(path): "not gpuctl as a single file"}.items():
        done = bundle("--os", "fedora41", "-o", str(tmp_path / "b"), "--zipapp", str(wrong))
        assert (done.code, done.out) == (2, "")
        assert words in done.err


# Used where there is none


def test_an_apt_host_gets_it_goes_on_to_the_next_and_back_with_nothing_left_of_the_bundle(
    new_root: Callable[..., PackageRoot], repositories: Repositories, made: Callable[..., str]
) -> None:
    root, key = new_root(), repositories.key
    old, new = ({"bundle": made(version), "key_file": key} for version in ("1.17.8", "1.18.0"))
    planned = root.drive("plan", **old)
    assert planned["steps"][0].endswith(f"1.17.8-1 with apt from the bundle {old['bundle']}")
    assert (planned["disturbs"], planned["diff"], root.installed()) == (["nothing"], "", {})
    assert root.drive("install", **old)["changed"]
    assert root.installed() == whole("1.17.8")
    assert root.drive("install", **old) == {"changed": False, "steps": [], "disturbs": [], "diff": ""}
    assert root.drive("plan", **new)["disturbs"] == ["new containers"]
    assert root.drive("install", **new)["changed"]
    assert root.installed() == whole("1.18.0")
    assert list(root.path("/etc/apt/sources.list.d").iterdir()) == []
    assert not root.path("/etc/apt/keyrings").exists()
    assert [one.name for one in root.path("/var/lib/apt/lists").iterdir() if one.name != "partial"] == []
    assert root.drive("undo") == {"undone": True}
    assert root.installed() == whole("1.17.8")
    first = root.run(*GPUCTL, "history", "--json").json["runs"][-1]["run"]
    assert root.run(*GPUCTL, "rollback", first).code == 0
    assert root.installed() == {}
    assert not root.path("/var/lib/gpuctl/packages").exists()


@pytest.mark.parametrize(
    ("os", "os_release", "manager"), [("fedora41", FEDORA, "dnf"), ("opensuse-leap15.6", SUSE, "zypper")]
)
def test_rpm_hosts_get_it_too(
    new_root: Callable[..., PackageRoot],
    repositories: Repositories,
    made: Callable[..., str],
    os: str,
    os_release: str,
    manager: str,
) -> None:
    root = new_root(os_release=os_release)
    old, new = ({"bundle": made(version, os), "key_file": repositories.key} for version in ("1.17.8", "1.18.0"))
    wrong = root.drive("install", **{**old, "key_file": repositories.other})
    assert f"is not signed by this key ({manager} says: " in wrong["refused"]
    assert root.installed() == {}
    assert root.drive("install", **old)["changed"]
    assert root.installed() == dict.fromkeys(IN_ORDER, "1.17.8")
    assert root.drive("install", **new)["changed"]
    assert root.installed() == dict.fromkeys(IN_ORDER, "1.18.0")
    assert not any("nvidia" in one.name for one in root.path("/etc").rglob("*.repo"))
    assert root.drive("undo") == {"undone": True}
    assert root.installed() == dict.fromkeys(IN_ORDER, "1.17.8")


def test_what_fails_in_the_middle_is_undone_by_the_run_and_after_a_power_cut_by_rollback(
    new_root: Callable[..., PackageRoot], repositories: Repositories, made: Callable[..., str]
) -> None:
    root, given = new_root(), {"bundle": made(), "key_file": repositories.key}
    root.write("/srv/broken", "")
    assert root.drive("install", **given)["problem"].startswith("apt-get install failed: dpkg: error processing")
    assert root.installed() == {}
    root.path("/srv/broken").unlink()
    root.write("/srv/slow", "")
    root.cut_power("/usr/share/gpuctl-tests/libnvidia-container1", "install", **given)
    root.path("/srv/slow").unlink()
    assert root.installed() != {}
    assert root.drive("undo") == {"undone": True}
    assert root.installed() == {}


def other_package(path: str) -> str:
    return with_file(path, "libnvidia-container1", lambda raw: raw[:-1] + b"x")


def other_release(path: str) -> str:
    return with_file(path, "InRelease", lambda raw: raw.replace(b"Origin: tests", b"Origin: other"))


def no_list(path: str) -> str:
    return changed(path, lambda given: replace(given, files={k: v for k, v in given.files.items() if "Pack" not in k}))


def no_package(path: str) -> str:
    def change(given: Bundle) -> Bundle:
        left = given.manifest.packages[1:]
        files = {name: raw for name, raw in given.files.items() if "libnvidia-container1" not in name}
        return Bundle(replace(given.manifest, packages=left), files)

    return changed(path, change)


def older_than_told(path: str) -> str:
    return changed(path, lambda given: replace(given, manifest=replace(given.manifest, toolkit="1.19.0-1")))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_package, "is not the package that NVIDIA's list names."),
        (other_release, "is not signed by this key (apt says: BADSIG"),
        (no_list, "cannot be read"),
        (no_package, "is not the package that NVIDIA's list names."),
        (older_than_told, "has no whole toolkit 1.19.0-1"),
    ],
)
def test_what_somebody_changed_together_with_its_manifest_is_refused_by_the_signature(
    new_root: Callable[..., PackageRoot],
    repositories: Repositories,
    made: Callable[..., str],
    change: Callable[[str], str],
    words: str,
) -> None:
    root, path = new_root(), change(made())
    asked = ("--from-bundle", path, "--key-file", repositories.key, "--engine", "docker", "--no-reload")
    done = root.run(*GPUCTL, "install-runtime", *asked)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert done.err.count("\n") == 1
    check_untouched(root)


def check_untouched(root: PackageRoot) -> None:
    assert root.installed() == {}
    assert not root.path("/var/lib/gpuctl").exists()
    assert not root.path("/etc/docker").exists()


def test_a_key_counts_that_is_nvidias_or_named_and_no_other(
    new_root: Callable[..., PackageRoot], repositories: Repositories, made: Callable[..., str]
) -> None:
    root = new_root()
    own = root.run(*GPUCTL, "install-runtime", "--from-bundle", made(), "--engine", "docker", "--no-reload")
    assert (own.code, own.out) == (2, "")
    assert f"The key in {made()} is not NVIDIA's, but " in own.err
    two = with_file(made(), KEYS[0], lambda raw: raw + Path(repositories.other).read_bytes())
    assert "is not NVIDIA's, but " in root.drive("install", bundle=two)["refused"]
    check_untouched(root)


@pytest.mark.parametrize(
    ("os", "words"),
    [("fedora41", "is for fedora41 on amd64, and this host is "), ("arm64", "on arm64, and this host is")],
)
def test_a_bundle_for_other_hosts_is_refused(
    new_root: Callable[..., PackageRoot], repositories: Repositories, made: Callable[..., str], os: str, words: str
) -> None:
    def for_arm(given: Bundle) -> Bundle:
        return replace(given, manifest=replace(given.manifest, architecture="arm64"))

    root, path = new_root(), changed(made(), for_arm) if os == "arm64" else made("1.18.0", os)
    asked = ("--from-bundle", path, "--key-file", repositories.key, "--engine", "docker", "--no-reload")
    done = root.run(*GPUCTL, "install-runtime", *asked)
    assert (done.code, done.out) == (1, "")
    assert words in done.err
    check_untouched(root)


def cut(path: str) -> str:
    Path(f"{path}.cut").write_bytes(Path(path).read_bytes()[:-2000])
    return f"{path}.cut"


def damaged(path: str) -> str:
    raw = bytearray(Path(path).read_bytes())
    raw[-2000] ^= 1
    Path(f"{path}.damaged").write_bytes(raw)
    return f"{path}.damaged"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut, "it is cut off: it has "),
        (damaged, "was changed or damaged"),
        (lambda path: "/etc/hostname", "it is no bundle of `gpuctl bundle`"),
        (lambda path: "/nowhere", "No such file"),
        (lambda path: "/etc", "Is a directory"),
        (lambda path: "/dev/zero", "not a regular file"),
    ],
)
def test_what_is_no_whole_bundle_is_wrong_usage(
    new_root: Callable[..., PackageRoot], made: Callable[..., str], spoil: Callable[[str], str], words: str
) -> None:
    root = new_root()
    done = root.run(*GPUCTL, "install-runtime", "--from-bundle", spoil(made()))
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    check_untouched(root)


@pytest.mark.parametrize("options", [("--install",), ("--version", "1.18.0"), ("--repo-url", "https://mirror/deb")])
def test_a_bundle_has_one_version_from_one_repository(options: tuple[str, ...]) -> None:
    argv: list[Any] = [*GPUCTL, "install-runtime", "--from-bundle", "x", *options]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "it has one version, from one repository" in done.stderr


# Keys


@pytest.mark.parametrize("algorithm", ["rsa3072", "ed25519", "nistp256"])
@pytest.mark.parametrize("armour", [("--armor",), ()])
def test_fingerprints_are_those_that_gpg_tells(algorithm: str, armour: tuple[str, ...], tmp_path: Path) -> None:
    signer = Signer(tmp_path / "home")
    try:
        signer.gpg("--passphrase", "", "--quick-gen-key", "another <b@example.invalid>", algorithm, "sign", "never")
        key = signer.gpg("--export", *armour)
        (tmp_path / "key").write_bytes(key)
        told = run("gpg", "--with-colons", "--show-keys", str(tmp_path / "key")).decode().splitlines()
    finally:
        signer.close()
    fields = [line.split(":") for line in told]
    primary = [after[9] for before, after in pairwise(fields) if before[0] == "pub"]
    assert list(fingerprints(key)) == primary
    assert len(primary) == 2
