"""What is read of a host's packages, what a plan refuses of itself, and the key that it fetches."""

from __future__ import annotations

import subprocess
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hosts import hung
from hosts_v100 import INSTALLED, QUERY, docker, v100
from registry import answer, listen

from gpuctl.facts.gather import gather
from gpuctl.facts.packages.packages import Offer, Package, parse_installed, parse_policy, pins_toolkit
from gpuctl.facts.packages.sources import contradictions, parse_deb822, parse_one_line, parse_repo
from gpuctl.host.act.download import DownloadProblem, download
from gpuctl.provision.packages.files import show, silenced
from gpuctl.provision.packages.packages import PackageWish, check_repo_url, newest, plan_packages
from gpuctl.provision.packages.plan import PackagePlan
from gpuctl.provision.result import Refused

DEB822 = """\
# a comment
Types: deb
URIs: https://user:secret@mirror/deb/$(ARCH)/
Suites: /
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: https://other/deb
Suites: /
"""


def plan(wish: PackageWish, **host: Any) -> PackagePlan:
    seen = v100(**host)
    return plan_packages(seen, gather(seen), wish)


def test_sources_of_both_styles_are_read_without_their_passwords() -> None:
    (one,) = parse_deb822("x.sources", DEB822)
    assert (one.uri, one.suite, one.signed_by) == ("https://mirror/deb/$(ARCH)", "/", "a key in the file itself")
    line = "#deb http://no /\ndeb [arch=amd64 signed-by=/k.gpg] http://me:secret@yes/deb/ stable main # because\n"
    (two,) = parse_one_line("x.list", line)
    assert (two.uri, two.suite, two.signed_by) == ("http://yes/deb", "stable", "/k.gpg")
    repo = "[a]\nbaseurl=https://u:p@a/$basearch\ngpgkey=file:///k\n[b]\nenabled=0\nbaseurl=https://b\n"
    assert [(three.uri, three.suite, three.signed_by) for three in parse_repo("x.repo", repo)] == [
        ("https://a/$basearch", "a", "file:///k")
    ]


def test_two_sources_contradict_each_other_only_where_apt_says_so() -> None:
    signed = parse_one_line("a.list", "deb [signed-by=/k.gpg] https://a/$(ARCH) /\n")
    unsigned = parse_one_line("b.list", "deb https://a/amd64/ /\ndeb https://a/arm64 /\n")
    assert [(one.file, other.file) for one, other in contradictions((*signed, *unsigned), "amd64")] == [
        ("a.list", "b.list")
    ]
    assert contradictions((*signed, *signed), "amd64") == ()


def test_what_apt_would_install_is_read_with_pins_of_any_priority() -> None:
    text = (
        "nvidia-container-toolkit:\n  Installed: (none)\n  Candidate: 1.12.1-0pop1\n  Version table:\n"
        "     1.18.0-1 -1\n         -1 https://me:secret@nvidia.github.io/deb  Packages\n"
        "     1.12.1-0pop1 1001\n       1001 http://apt.pop-os.org/release jammy/main amd64 Packages\n"
    )
    policy = parse_policy(text)
    assert policy
    assert policy.offers == (
        Offer("1.18.0-1", -1, ("https://nvidia.github.io/deb",)),
        Offer("1.12.1-0pop1", 1001, ("http://apt.pop-os.org/release",)),
    )
    assert parse_policy("") is None


def test_a_package_that_rpm_has_twice_is_not_whole() -> None:
    row = "libnvidia-container1\t{}\tinstall\tinstalled\n"
    assert parse_installed(row.format("1.17.8-1") + row.format("1.18.0-1")) == {
        "libnvidia-container1": Package("1.18.0-1", whole=False)
    }


def test_the_newest_is_a_release_where_there_is_one() -> None:
    assert newest(["1.9.0-1", "1.18.0-1", "1.19.0~rc.1-1"]) == "1.18.0-1"
    assert newest(["1.19.0~rc.1-1", "1.19.0~rc.2-1"]) == "1.19.0~rc.2-1"


def test_a_source_is_silenced_alone_and_shown_without_its_password() -> None:
    edit = silenced("/x.sources", lambda source: "mirror" in source.uri)
    new = edit.change(DEB822.encode()) or b""
    assert parse_deb822("x.sources", new.decode()) == ()
    assert edit.change(new) == new
    assert new.decode().replace("Enabled: no\nTypes", "Types", 1) == DEB822
    assert "secret" not in show("/x.sources", DEB822.encode(), new)
    lines = b"deb https://mirror/deb /\ndeb https://other/deb / # d\xe9j\xe0\n"
    assert silenced("/x.list", lambda source: "mirror" in source.uri).change(lines) == b"# gpuctl: " + lines


@pytest.mark.parametrize(
    "url", ["", "mirror", "ftp://mirror/x", "https://a b/", "https://a/\nb", "https://a/[x]", "//a"]
)
def test_what_is_no_address_of_packages_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        check_repo_url(url)


@pytest.mark.parametrize(
    "url", ["https://mirror", "http://10.0.0.1:8080/deb/$(ARCH)/", "https://[::1]/x", "file:///srv"]
)
def test_an_address_of_packages_loses_only_its_last_slash(url: str) -> None:
    assert check_repo_url(url) == url.rstrip("/")


def test_a_whole_toolkit_needs_nothing_and_an_old_docker_is_told_how_to_use_it() -> None:
    assert plan(PackageWish()).steps == plan(PackageWish(version="1.17.8")).steps == ()
    (note,) = plan(PackageWish(), sockets=docker("18.09.9")).notes
    assert "Docker 18.09.9 has no --gpus. Give containers the GPUs with --runtime=nvidia" in note


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"env": {"euid": "1000"}}, "Only root can install packages"),
        ({"files": {"/proc/sys/kernel/arch": "ppc64le\n"}}, "no packages of the toolkit for ppc64le"),
        ({"which": {"apt-get": None, "apk": "/sbin/apk"}, "files": {"/etc/os-release": "ID=alpine\n"}}, "manager apk"),
        ({"commands": {QUERY: hung()}}, "could not be looked at"),
    ],
)
def test_a_host_that_gpuctl_cannot_install_on_is_told_why(host: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        plan(PackageWish(version="1.18.0"), **host)


def test_the_key_is_fetched_over_tls_alone_and_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = tmp_path / "certificate.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", certificate, "-out", certificate]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run(["openssl", "req", "-x509", *key, *files, *name], check=True, capture_output=True)

    def respond(request: BaseHTTPRequestHandler) -> None:
        if request.path == "/on":
            answer(request, 302, headers={"Location": f"http://{request.headers['Host']}/key"})
        else:
            answer(request, 200 if request.path == "/key" else 404, b"key")

    with listen(respond, certificate) as server:
        with pytest.raises(DownloadProblem, match="its certificate is not trusted"):
            download(f"https://{server}/key", 10, 5.0)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert download(f"https://{server}/key", 3, 5.0) == b"key"
        for path, limit, words in (("key", 2, "more than"), ("on", 9, "without TLS"), ("x", 9, "HTTP status 404")):
            with pytest.raises(DownloadProblem, match=words):
                download(f"https://{server}/{path}", limit, 5.0)
    with pytest.raises(DownloadProblem, match="without TLS"):
        download(f"http://{server}/key", 10, 5.0)
    with pytest.raises(DownloadProblem, match="does not answer"):
        download(f"https://{server}/key", 10, 5.0)


def test_the_query_for_packages_reads_holds_and_what_is_left() -> None:
    text = INSTALLED.replace("\tinstall\tinstalled", "\thold\thalf-configured", 1)
    rows = parse_installed(text + "nvidia-docker2\t2.13.0-1\tdeinstall\tconfig-files\n")
    assert rows["nvidia-container-toolkit"] == Package("1.17.8-1", held=True, whole=False)
    assert rows["nvidia-docker2"] == Package("")


@pytest.mark.parametrize(
    ("package", "priority", "pins"),
    [
        ("*", 1001, True),
        ("libnvidia-container*", 600, True),
        ("/nvidia/", 990, True),
        ("nodejs", 600, False),
        ("*", 500, False),
        ("nvidia-container-toolkit", -1, False),
    ],
)
def test_a_pin_matters_where_it_may_prefer_another_toolkit(package: str, priority: int, pins: bool) -> None:
    text = f"Package: nodejs\nPin: release o=x\nPin-Priority: 900\n\nPackage: {package}\nPin: release o=x\n"
    assert pins_toolkit(f"{text}Pin-Priority: {priority}\n") is pins
