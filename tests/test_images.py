"""An image's configuration, read without pulling it: from a real dockerd, real registries, and hostile ones."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import hosts
import pytest
from hypothesis import given
from hypothesis import strategies as st
from registry import CONFIG, MANIFEST, answer, descriptor, digest, docker_registry, forward, listen, push
from simhost import Dockerd, import_image, until
from simhost.process import PATIENCE, running

from gpuctl.facts.docker.docker import Docker, probe_docker
from gpuctl.facts.gather import Facts, Missing
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.reading import Host, Outcome, Reading
from gpuctl.images.address import parse_address
from gpuctl.images.config import ImageConfig, Unreadable
from gpuctl.images.daemon import is_insecure
from gpuctl.images.read import read_image
from gpuctl.images.reference import Reference, parse_reference

Request = BaseHTTPRequestHandler

USER, PASSWORD, SECRET = "user", "s3cret-word", "s3cret"
HTPASSWD = f"{USER}:$2b$04$6g4CmPjGrDFy9NHohxfey.VDgEjpD9zwhaSsfstX80Uz7gmYltPxi\n"
"""bcrypt of PASSWORD, the only kind that docker-registry takes."""
INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
ENV = ["PATH=/bin", "CUDA_VERSION=12.4.1", "A=1", "A=2=3", "EMPTY=", "NOTHING"]
UNKNOWN = {"os": "unknown", "architecture": "unknown"}
DIGEST = "sha256:" + "0123456789abcdef" * 4
SOCKET = "unix:///var/run/docker.sock"
HOME = {"HOME": "/home/u"}


def config_of(architecture: str = "amd64", env: object = ENV) -> bytes:
    rootfs = {"type": "layers", "diff_ids": []}
    return json.dumps({"os": "linux", "architecture": architecture, "config": {"Env": env}, "rootfs": rootfs}).encode()


def manifest_of(config: bytes, kind: str = MANIFEST, config_kind: str = CONFIG) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": kind, "config": descriptor(config_kind, config), "layers": []}


AMD, ARM = config_of(), config_of("arm64")


def machine(logins: Mapping[str, str] = {}, **what: Any) -> Host:
    """A host without Docker whose Docker config has these logins, {registry: user:password}."""
    auths = {name: {"auth": base64.b64encode(login.encode()).decode()} for name, login in logins.items()}
    files = {"/home/u/.docker/config.json": json.dumps({"auths": auths})} if logins else {}
    return hosts.host(**{"env": HOME, **what, "files": {**files, **what.get("files", {})}})


def read(reference: str, host: Host | None = None, architecture: str = "x86_64", seconds: float = 10) -> ImageConfig:
    host = host or machine()
    return read_image(reference, host, Facts({Docker: probe_docker(host)}), architecture, seconds)


def why_not(reference: str, host: Host | None = None, **options: Any) -> str:
    """The sentence that says why an image cannot be read. No secret is in it, nor in a traceback of it."""
    with pytest.raises(Unreadable) as unreadable:
        read(reference, host, **options)
    assert SECRET not in "".join(traceback.format_exception(unreadable.value))
    sentence = str(unreadable.value)
    assert sentence.endswith(".") and len(sentence) < 700 and sentence.isprintable()
    return sentence


@pytest.fixture(scope="module")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that everybody may read: a/b:1, and multi:1 for amd64 (v1 and v3) and arm64."""
    with docker_registry(tmp_path_factory.mktemp("open") / "registry") as address:
        push(address, "a/b", "1", manifest_of(AMD), AMD)
        v3 = config_of(env=["CUDA_VERSION=99"])
        manifests = {"amd64/v3": v3, "amd64": AMD, "arm64/v8": ARM}
        entries = []
        for platform, config in manifests.items():
            manifest = manifest_of(config, OCI_MANIFEST, OCI_CONFIG)
            push(address, "multi", platform.replace("/", "-"), manifest, config)
            entries.append(entry(manifest, *platform.split("/")))
        attestation = {**entry(manifest_of(AMD, OCI_MANIFEST, OCI_CONFIG), "unknown"), "platform": UNKNOWN}
        index = index_of(*entries, attestation)
        push(address, "multi", "1", index)
        push(address, "multi", "nested", index_of(entry(index, "amd64")))
        yield address


def index_of(*entries: Mapping[str, Any]) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)}


def entry(manifest: Mapping[str, Any], architecture: str, variant: str = "") -> dict[str, Any]:
    platform = {"os": "linux", "architecture": architecture, **({"variant": variant} if variant else {})}
    return {**descriptor(manifest["mediaType"], json.dumps(manifest).encode()), "platform": platform}


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("ubuntu", Reference("docker.io", "library/ubuntu", "latest", None)),
        ("docker.io/ubuntu", Reference("docker.io", "library/ubuntu", "latest", None)),
        ("index.docker.io/ubuntu:22.04", Reference("docker.io", "library/ubuntu", "22.04", None)),
        ("nvidia/cuda:12.4.1-base-ubuntu22.04", Reference("docker.io", "nvidia/cuda", "12.4.1-base-ubuntu22.04", None)),
        ("nvcr.io/nvidia/pytorch:24.05-py3", Reference("nvcr.io", "nvidia/pytorch", "24.05-py3", None)),
        ("localhost/x", Reference("localhost", "x", "latest", None)),
        ("localhost:5000/x", Reference("localhost:5000", "x", "latest", None)),
        ("Host/x:Tag_1", Reference("Host", "x", "Tag_1", None)),
        ("[::1]:5000/a-b/c__d.e", Reference("[::1]:5000", "a-b/c__d.e", "latest", None)),
        (f"registry:5000/a/b@{DIGEST}", Reference("registry:5000", "a/b", None, DIGEST)),
        (f"a:1@{DIGEST}", Reference("docker.io", "library/a", "1", DIGEST)),
    ],
)
def test_a_name_means_what_it_means_to_docker(text: str, full: Reference) -> None:
    assert parse_reference(text) == full
    assert parse_reference(str(full)) == full


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("Ubuntu", "upper case is for tags only"),
        ("nvidia/CUDA:12", "upper case is for tags only"),
        ("https://nvcr.io/a", "is not the name of an image"),
        ("a:", "is not the name of an image"),
        ("a b", "is not the name of an image"),
        ("a/../b", "is not the name of an image"),
        ("a/b/", "is not the name of an image"),
        ("a@sha256:12", "is not the name of an image"),
        ("a@b.example/c", "is not the name of an image"),
        ("a:1\n", "is not the name of an image"),
        ("é", "is not the name of an image"),
        ("a" * 300, "is not the name of an image"),
        ("\x1b[31m" + "a" * 10**6, "is not the name of an image"),
    ],
)
def test_what_is_no_name_gets_a_sentence(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as wrong:
        read(text)
    assert len(str(wrong.value)) < 500 and str(wrong.value).isprintable()


@given(st.text(st.sampled_from("aB0._-/:@[]% \n"), max_size=40))
def test_a_full_name_is_a_name_and_fits_into_an_address(text: str) -> None:
    try:
        full = parse_reference(text)
    except ValueError:
        return
    assert parse_reference(str(full)) == full
    address = parse_address(f"https://{full.registry}/v2/{full.repository}/manifests/{full.version}")
    assert address.host == full.host.lower()


def test_an_image_on_this_host_is_read_over_dockers_socket_by_name_or_id(
    dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_image(dockerd, "local/here:1", env={"NVIDIA_REQUIRE_CUDA": 'cuda>=10.1 brand="tesla"'})
    monkeypatch.setenv("DOCKER_HOST", dockerd.host)
    identity = dockerd.docker("image", "inspect", "--format", "{{.Id}}", "local/here:1").out.strip()
    for name in ("local/here:1", "docker.io/local/here:1", identity, identity.removeprefix("sha256:")[:12]):
        found = read(name, LocalHost())
        assert found.env["NVIDIA_REQUIRE_CUDA"] == 'cuda>=10.1 brand="tesla"'
        assert (found.os, found.architecture, found.platforms, found.digest) == ("linux", "amd64", (), identity)
        assert (found.reference, found.source) == (name, f"Docker's image on this host ({dockerd.host})")


def test_reading_a_local_image_imports_neither_requests_nor_docker(dockerd: Dockerd) -> None:
    code = (
        "import sys; from gpuctl.host.look.local import LocalHost;"
        "from gpuctl.facts.docker.docker import Docker, probe_docker;"
        "from gpuctl.facts.gather import Facts; from gpuctl.images.read import read_image; host = LocalHost();"
        "read_image('nvidia/cuda:10.1-base', host, Facts({Docker: probe_docker(host)}), 'x86_64', 5.0);"
        "print({'requests', 'docker'} & set(sys.modules))"
    )
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, env={"DOCKER_HOST": dockerd.host}, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_an_image_that_only_its_registry_has_is_read_there_and_not_pulled(
    dockerd: Dockerd, open_registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{open_registry}/pushed/by-docker:1"
    import_image(dockerd, name, env={"CUDA_VERSION": "12.4.1"})
    pushed = dockerd.docker("push", name)
    assert pushed.code == 0, pushed.err
    dockerd.docker("rmi", name)
    monkeypatch.setenv("DOCKER_HOST", dockerd.host)
    found = read(name, LocalHost())
    assert (found.env["CUDA_VERSION"], found.os, found.architecture) == ("12.4.1", "linux", "amd64")
    assert found.digest and f"digest: {found.digest}" in pushed.out
    assert found.source == f"the registry {open_registry}"
    assert dockerd.docker("image", "inspect", name).code != 0
    assert read(f"{name}@{found.digest}", LocalHost()).env == found.env


def test_of_a_variable_that_is_there_twice_the_last_counts(open_registry: str) -> None:
    found = read(f"{open_registry}/a/b:1")
    assert found.env == {"PATH": "/bin", "CUDA_VERSION": "12.4.1", "A": "2=3", "EMPTY": ""}


@pytest.mark.parametrize("tag", ["1", "nested"])
def test_of_a_multi_platform_image_this_hosts_is_read(open_registry: str, tag: str) -> None:
    name = f"{open_registry}/multi:{tag}"
    ours = read(name)
    assert (ours.architecture, ours.env["CUDA_VERSION"]) == ("amd64", "12.4.1")
    if tag == "1":
        assert ours.platforms == ("linux/amd64/v3", "linux/amd64", "linux/arm64/v8")
        assert read(name, architecture="aarch64").architecture == "arm64"
        assert ours.digest and read(f"{open_registry}/multi@{ours.digest}").digest == ours.digest
        assert why_not(name, architecture="ppc64le") == (
            f"{open_registry}/multi:1 is there for linux/amd64/v3, linux/amd64, linux/arm64/v8, not for linux/ppc64le."
        )


@pytest.mark.parametrize(
    ("docker", "words"),
    [
        (hosts.denied(), "has no a/b:2; whether Docker has it on this host is unknown (Permission denied)."),
        (hosts.broken("Connection refused"), "is unknown (the daemon is not running (Connection refused))."),
    ],
)
def test_a_daemon_that_could_not_be_asked_is_mentioned(open_registry: str, docker: Any, words: str) -> None:
    host = machine(sockets={SOCKET: docker}, which={"dockerd": "/usr/bin/dockerd"})
    assert words in why_not(f"{open_registry}/a/b:2", host)
    assert read(f"{open_registry}/a/b:1", host).env["CUDA_VERSION"] == "12.4.1"


@pytest.mark.parametrize(
    "body", ["[]", "{", "[" * 10**5, {"Config": 1}, {"Config": {"Env": "A=1"}}, {"Config": {"Env": [1]}}, {"Os": 7}]
)
def test_what_a_daemon_says_of_an_image_is_not_trusted(open_registry: str, body: Any) -> None:
    answers = {"/version": {"Version": "20.10.24", "ApiVersion": "1.41"}, "/info": {}, "/images/json": []}
    name = f"{open_registry}/none:1"
    host = machine(sockets={SOCKET: {**answers, f"/images/{name}/json": body}})
    assert "is unknown (the answer is not Docker's: it" in why_not(name, host)


def test_an_id_that_docker_does_not_have_is_asked_of_no_registry() -> None:
    assert "no registry can be asked for an id." in why_not(DIGEST)
    with pytest.raises(Unreadable, match=r"is unknown \(no answer within 12 s\), and no registry can be asked"):
        read_image(DIGEST, machine(), Facts({Docker: Missing("no answer within 12 s")}), "x86_64", 1)


def test_only_a_docker_that_was_asked_is_said_to_lack_an_image() -> None:
    answers: dict[str, Any] = {"/version": {"Version": "20.10.24", "ApiVersion": "1.41"}, "/info": {}}
    answers |= {"/images/json": [], "/images/a:1/json": Reading("", Outcome.OK, code=404)}
    for host, words in ((machine(), "No Docker runs"), (machine(sockets={SOCKET: answers}), "Docker has no image a:1")):
        with pytest.raises(Unreadable, match=f"^{words}.* on this host"):
            read_image("a:1", host, Facts({Docker: probe_docker(host)}), "x86_64", 1, offline=True)


@pytest.fixture(scope="module")
def private_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that wants a password, with what the open one has in a/b:1."""
    folder = tmp_path_factory.mktemp("private") / "registry"
    with docker_registry(folder) as address:
        push(address, "a/b", "1", manifest_of(AMD), AMD)
    with docker_registry(folder, HTPASSWD) as address:
        yield address


def test_a_registry_that_wants_a_password_gets_that_of_dockers_config(private_registry: str) -> None:
    name = f"{private_registry}/a/b:1"
    for key in (private_registry, f"https://{private_registry}/v1/"):
        assert read(name, machine({key: f"{USER}:{PASSWORD}"})).env["CUDA_VERSION"] == "12.4.1"
    assert why_not(name) == (
        f"The registry {private_registry} does not let gpuctl read {name} (it wants a login); "
        f"log in with `docker login {private_registry}`."
    )
    assert "has a login for it" in why_not(name, machine({private_registry: f"{USER}:{SECRET}-but-wrong"}))
    assert "(it wants a login)" in why_not(name, machine({"other.example": f"{USER}:{PASSWORD}"}))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (f'{{"auths": "{SECRET}"', "is not understood: it is not JSON"),
        ({"auths": [SECRET]}, "is not understood: its auths is no JSON object but a list"),
        ({"auths": {"x": SECRET}}, "the credentials in /home/u/.docker/config.json are not understood"),
        ({"auths": {"x": {"auth": "s3cret"}}}, "the credentials in /home/u/.docker/config.json are not understood"),
        ({"auths": {"x": {"auth": 5}}}, "the credentials in /home/u/.docker/config.json are not understood"),
        ({"credsStore": "../../bin/sh"}, "it names a credential helper that cannot be one"),
        ({"credsStore": "none-such"}, "docker-credential-none-such of Docker's config failed (docker-credential-none-"),
        (hosts.denied(), "/home/u/.docker/config.json could not be read (Permission denied)"),
    ],
)
def test_what_is_wrong_with_dockers_config_is_said_where_it_matters(
    private_registry: str, open_registry: str, config: Any, words: str
) -> None:
    text = json.dumps(config) if isinstance(config, dict) else config
    host = machine(files={"/home/u/.docker/config.json": text})
    assert words in why_not(f"{private_registry}/a/b:1", host)
    assert read(f"{open_registry}/a/b:1", host).env["CUDA_VERSION"] == "12.4.1"


HELPERS = {
    "knows": f'[ "$1 $(cat)" = "get REGISTRY" ] && echo \'{{"Username": "{USER}", "Secret": "{PASSWORD}"}}\'',
    "lacks": "echo credentials not found in native keychain; exit 1",
    "fails": f"echo {SECRET}; echo {SECRET} >&2; exit 3",
    "babbles": f"echo {SECRET}",
    "hangs": "sleep 1000",
}


@pytest.fixture
def helped(private_registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """`helped("fails")` makes Docker's config name that helper for the private registry. Returns its folder."""

    def make(helper: str) -> Path:
        program = tmp_path / f"docker-credential-{helper}"
        program.write_text("#!/bin/sh\n" + HELPERS[helper].replace("REGISTRY", private_registry))
        program.chmod(0o755)
        settings = {"credHelpers": {private_registry: helper}, "credsStore": "of-another"}
        (tmp_path / "config.json").write_text(json.dumps(settings))
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("helper", "words"),
    [
        ("lacks", "(it wants a login); log in with `docker login"),
        ("fails", "the credential helper docker-credential-fails of Docker's config failed (exit status 3)."),
        ("babbles", "the credential helper docker-credential-babbles of Docker's config did not answer as one."),
        ("hangs", "the credential helper docker-credential-hangs of Docker's config failed (no answer within "),
    ],
)
def test_a_credential_helper_that_does_not_help_is_named_and_gone(
    helped: Callable[[str], Path], private_registry: str, helper: str, words: str
) -> None:
    folder = helped(helper)
    for seconds in (1, 10, 100):  # on a busy machine it may not have been asked by the first end
        started = time.monotonic()
        said = why_not(f"{private_registry}/a/b:1", LocalHost(), seconds=seconds)
        assert time.monotonic() - started < PATIENCE
        if words in said:
            break
    assert words in said
    assert until(lambda: not running(str(folder / "docker-credential-")))


def test_a_credential_helper_that_helps_opens_the_registry(
    helped: Callable[[str], Path], private_registry: str
) -> None:
    helped("knows")
    assert read(f"{private_registry}/a/b:1", LocalHost()).env["CUDA_VERSION"] == "12.4.1"


class Gate:
    """A registry that wants tokens, before an open one; it gives them out itself, and keeps who asked for them.

    `opens` says for whom: "", a Basic login, or an identity token.
    """

    def __init__(self, behind: str, opens: str = "", realm: str = "http://{host}/token") -> None:
        self.behind, self.opens, self.realm = behind, opens, realm
        self.asked: list[tuple[str, dict[str, list[str]]]] = []

    def __call__(self, request: Request) -> None:
        if urlsplit(request.path).path == "/token":
            self.give(request)
        elif request.headers["Authorization"] == f"Bearer {SECRET}":
            forward(request, self.behind)
        else:
            place = f'realm="{self.realm.format(host=request.headers["Host"])}",service="the service"'
            challenge = f'Bearer {place},scope="repository:a/b:pull,push"'
            answer(request, 401, headers={"WWW-Authenticate": f'Basic realm="x, Bearer y", {challenge}'})

    def give(self, request: Request) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0))).decode()
        asked = parse_qs(body or urlsplit(request.path).query)
        login = request.headers.get("Authorization", "").removeprefix("Basic ")
        self.asked.append((base64.b64decode(login).decode(), asked))
        who = asked.get("refresh_token", [self.asked[-1][0]])[0]
        answer(request, 200 if who == self.opens else 401, json.dumps({"access_token": SECRET}).encode())


ASKS = {"service": ["the service"], "scope": ["repository:a/b:pull,push"]}


def test_a_token_is_asked_for_without_a_login_and_with_one(open_registry: str) -> None:
    gate = Gate(open_registry)
    with listen(gate) as address:
        assert read(f"{address}/a/b:1").env["CUDA_VERSION"] == "12.4.1"
        gate.opens = f"{USER}:{PASSWORD}"
        assert read(f"{address}/a/b:1", machine({address: gate.opens})).digest
        assert gate.asked == [("", ASKS), (gate.opens, ASKS)]
        assert "(it wants a login); log in" in why_not(f"{address}/a/b:1")
        assert "does not accept the login" in why_not(f"{address}/a/b:1", machine({address: f"{USER}:{SECRET}"}))


def test_an_identity_token_is_changed_for_a_token(open_registry: str) -> None:
    gate = Gate(open_registry, opens=f"{SECRET}-identity")
    with listen(gate) as address:
        settings = json.dumps({"auths": {address: {"identitytoken": gate.opens}}})
        assert read(f"{address}/a/b:1", machine(files={"/home/u/.docker/config.json": settings})).digest
    form = {"grant_type": ["refresh_token"], "refresh_token": [gate.opens], "client_id": ["gpuctl"]}
    assert gate.asked == [("", {**ASKS, **form})]


def test_a_token_server_without_tls_elsewhere_gets_no_login(open_registry: str) -> None:
    gate = Gate(open_registry, realm="http://tokens.example/token")
    with listen(gate) as address:
        login = machine({address: f"{USER}:{PASSWORD}"})
        assert why_not(f"{address}/a/b:1", login) == (
            "The registry sends gpuctl to tokens.example without TLS, where gpuctl does not go."
        )


@contextmanager
def proxied(monkeypatch: pytest.MonkeyPatch, to: str) -> Iterator[list[str]]:
    """Leads all of https to the server `to`, by the environment's proxy, and yields the names that were asked for."""
    names = []

    def tunnel(request: Request) -> None:
        names.append(request.path)
        host, _, port = to.partition(":")
        with socket.create_connection((host, int(port))) as there:
            request.send_response(200)
            request.end_headers()
            threading.Thread(target=pour, args=(there, request.connection), daemon=True).start()
            pour(request.connection, there)
        request.close_connection = True

    with listen(tunnel) as address:
        use_proxy(monkeypatch, address)
        yield names


def use_proxy(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    for name in ("https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{USER}:{SECRET}@{address}")


def pour(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(1 << 16):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate with its key, for registry.example and Docker Hub."""
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    names = ",".join(f"DNS:{name}" for name in ("registry.example", "registry-1.docker.io", "auth.docker.io"))
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path, "-out", path]
    subject = ["-subj", "/CN=registry.example", "-addext", f"subjectAltName={names}", "-days", "2"]
    subprocess.run(["openssl", "req", "-x509", *key, *subject], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def tls_registry(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[str]:
    """A registry with that certificate, with what the open one has in a/b:1."""
    folder = tmp_path_factory.mktemp("tls") / "registry"
    with docker_registry(folder) as address:
        push(address, "a/b", "1", manifest_of(AMD), AMD)
    with docker_registry(folder, certificate=certificate) as address:
        yield address


def test_a_certificate_is_trusted_where_docker_trusts_it_and_nowhere_else(
    tls_registry: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, folder = "registry.example/a/b:1", "/etc/docker/certs.d/registry.example"
    pem = certificate.read_text()
    own = pem[pem.index("-----BEGIN CERTIFICATE") :]
    listed = {"RegistryConfig": {"IndexConfigs": {"registry.example": {"Secure": False}}}}
    with proxied(monkeypatch, tls_registry) as names:
        sentence = why_not(name)
        assert sentence == "registry.example does not answer (its certificate is not trusted: self-signed certificate)."
        assert read(name, machine(files={f"{folder}/ca.crt": own})).digest
        assert "ca.crt holds no certificate" in why_not(name, machine(files={f"{folder}/ca.crt": "é"}))
        assert read(name, machine(sockets={SOCKET: daemon(name, listed)})).digest
        assert "not trusted" in why_not(name, machine(sockets={SOCKET: daemon(name, {})}))
        assert set(names) == {"registry.example:443"}
    assert read(f"{tls_registry}/a/b:1").digest  # on this machine anything goes, and without the proxy


def daemon(name: str, info: Mapping[str, Any]) -> dict[str, Any]:
    """The answers of a daemon that does not have the image."""
    missing = {f"/images/{name}/json": hosts.failed(404)}
    return {"/version": {"Version": "20.10.24", "ApiVersion": "1.41"}, "/info": info, "/images/json": [], **missing}


@pytest.mark.parametrize(
    ("registry_", "settings", "insecure"),
    [
        ("10.1.2.3:5000", {"InsecureRegistryCIDRs": ["10.0.0.0/8"]}, True),
        ("[fd00::1]:5000", {"InsecureRegistryCIDRs": ["10.0.0.0/8", "fd00::/8"]}, True),
        ("11.1.2.3:5000", {"InsecureRegistryCIDRs": ["10.0.0.0/8"]}, False),
        ("r.example", {"IndexConfigs": {"r.example": {"Secure": False}}}, True),
        ("r.example:5000", {"IndexConfigs": {"r.example": {"Secure": False}}}, False),
        ("10.1.2.3", {"IndexConfigs": {"10.1.2.3": {"Secure": True}}, "InsecureRegistryCIDRs": ["10.0.0.0/8"]}, False),
        ("10.1.2.3", {"InsecureRegistryCIDRs": [7, None]}, False),
        ("r.example", {"IndexConfigs": {"r.example": 7}}, False),
        ("r.example", [], False),
    ],
)
def test_a_registry_is_insecure_where_the_daemon_says_so(registry_: str, settings: Any, insecure: bool) -> None:
    host = machine(sockets={SOCKET: {"/info": {"RegistryConfig": settings}}})
    assert is_insecure(Reference(registry_, "a", "1", None), host, SOCKET, 1) is insecure


def test_docker_hubs_images_are_asked_of_its_own_addresses_with_its_own_login(
    open_registry: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(open_registry, f"{USER}:{PASSWORD}", realm="https://auth.docker.io/token")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with listen(gate, certificate) as address, proxied(monkeypatch, address) as names:
        found = read("a/b:1", machine({"https://index.docker.io/v1/": gate.opens}))
        closed = why_not("a/b:1")
    assert (found.source, found.env["CUDA_VERSION"]) == ("the registry docker.io", "12.4.1")
    assert set(names) == {"registry-1.docker.io:443", "auth.docker.io:443"}
    assert closed.endswith("log in with `docker login`.")


def test_a_proxy_that_leads_nowhere_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    use_proxy(monkeypatch, "127.0.0.1:1")
    sentence = why_not("registry.example/a/b:1")
    assert sentence == "The proxy that the environment names does not lead to registry.example (Connection refused)."


class Stage:
    """A registry that answers as it is told to, {a part of the path: (status, headers, body)}, and keeps who asked."""

    def __init__(self, says: Mapping[str, tuple[int, Mapping[str, str], bytes]]) -> None:
        self.says = says
        self.seen: list[tuple[str, str | None]] = []

    def __call__(self, request: Request) -> None:
        self.seen.append((request.path, request.headers["Authorization"]))
        status, headers, body = next((said for part, said in self.says.items() if part in request.path), (404, {}, b""))
        here = {name: value.replace("HERE", f"http://{request.headers['Host']}") for name, value in headers.items()}
        answer(request, status, body, here)


def served(manifest: object, kind: str = MANIFEST, **headers: str) -> dict[str, tuple[int, Mapping[str, str], bytes]]:
    body = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"/manifests/": (200, {"Content-Type": kind, **named}, body), "/blobs/": (200, {}, AMD)}


def redirected(to: str) -> dict[str, tuple[int, Mapping[str, str], bytes]]:
    return {"/": (307, {"Location": to}, b"")}


def challenged(challenge: str, token: bytes = b"{}", status: int = 200) -> dict[str, Any]:
    return {"/token": (status, {}, token), "/": (401, {"WWW-Authenticate": challenge} if challenge else {}, b"")}


def nested(document: object) -> bytes:
    return json.dumps(document).encode().replace(b'"DEEP"', b"[" * 10**5 + b"]" * 10**5)


GOOD = manifest_of(AMD)
BEARER = 'Bearer realm="HERE/token"'
NOT_AN_IMAGE = {
    "schema 1": (served({"schemaVersion": 1, "name": "a"}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
                 "it is in Docker's first format (schema 1)"),
    "schema 1, unnamed": (served({"schemaVersion": 1}, "application/json"), "it is in Docker's first format"),
    "a chart": (served(manifest_of(AMD, OCI_MANIFEST, "application/vnd.cncf.helm.config.v1+json"), OCI_MANIFEST),
                "it holds application/vnd.cncf.helm.config.v1+json, not an image"),
    "a web page": (served(b"<html>", "text/html"), "it is not JSON"),
    "another kind": (served({"mediaType": "x" * 10**5}, "application/json"), "it is xxxxx"),
    "no type": (served({}, "application/json"), "it is of no type, not an image"),
    "a list": (served([GOOD]), "it is no JSON object but a list"),
    "too deep": (served(nested({**GOOD, "x": "DEEP"})), "it is nested more than 100 levels deep"),
    "a huge number": (served(b'{"x": ' + b"1" * 5000 + b"}"), "it is not JSON"),
    "no UTF-8": (served(b'{"x": "\xff"}'), "it is not JSON"),
    "two types": (served(GOOD, OCI_MANIFEST), f"it is served as {OCI_MANIFEST} and calls itself {MANIFEST}"),
    "two readings": (served({**GOOD, "manifests": []}), "it is a manifest and a list of manifests at once"),
    "another manifest": (served(GOOD, Docker_Content_Digest=DIGEST), "another digest than it should"),
    "another config": ({**served(GOOD), "/blobs/": (200, {}, ARM)}, "another digest than it should"),
    "config of numbers": (served({**GOOD, "config": 7}), "its config is no JSON object but a number"),
    "config without digest": (served({**GOOD, "config": {"mediaType": CONFIG}}), "a digest that gpuctl cannot verify"),
    "config elsewhere": (served({**GOOD, "config": {"mediaType": CONFIG, "digest": "sha256:../../etc/passwd"}}),
                         "a digest that gpuctl cannot verify"),
    "old digest": (served({**GOOD, "config": {"mediaType": CONFIG, "digest": "md5:" + "0" * 32}}),
                   "a digest that gpuctl cannot verify"),
    "index of numbers": (
        served({**index_of(), "manifests": [7]}, INDEX),
        "its manifests[0] is no JSON object but a number",
    ),
    "platform of numbers": (
        served(index_of({**entry(GOOD, "x"), "platform": {"os": 7}}), INDEX),
        "its os is no text but a number",
    ),
}  # fmt: skip
OTHER_ANSWERS = {
    "index of nothing": (served(index_of(), INDEX), "is there for no platform that it names, not for linux/amd64"),
    "index of many": (
        served(index_of(*[entry(GOOD, f"cpu{number}") for number in range(5000)]), INDEX),
        "is there for linux/cpu0",
    ),
    "missing": ({}, "has no a/b:1."),
    "config missing": ({**served(GOOD), "/blobs/": (404, {}, b"")}, "has no configuration of"),
    "forbidden": ({"/": (403, {}, b"")}, "(HTTP status 403, which can mean that there is no such image)"),
    "busy": ({"/": (429, {}, b"")}, "refuses more requests for now (HTTP status 429)."),
    "broken": ({"/": (503, {}, SECRET.encode())}, "answers with HTTP status 503."),
    "manifest too large": (served(b" " * (5 << 20)), "sends more than the 4 MiB that gpuctl reads."),
    "config too large": ({**served(GOOD), "/blobs/": (200, {}, b" " * (9 << 20))}, "more than the 8 MiB"),
    "cut off": (served(GOOD, Content_Length="9999"), "does not answer (the connection broke off)."),
    "in a circle": (redirected("HERE/v2/a"), "sends gpuctl from one address to the next, lastly to 127.0.0.1:"),
    "nowhere": (redirected(""), "sends gpuctl from one address to the next, lastly to 127.0.0.1:"),
    "into a file": (redirected("file:///etc/passwd"), "sends gpuctl to an address that is none."),
    "two hosts": (redirected(f"https://a.example\\@{SECRET}.example/"), "sends gpuctl to an address that is none."),
    "a login": (redirected(f"https://{USER}:{SECRET}@a.example/"), "sends gpuctl to an address that is none."),
    "without TLS": (redirected(f"http://a.example/?{SECRET}"), "to a.example without TLS, where gpuctl does not go."),
    "no way in": (challenged(""), "wants a way of logging in that gpuctl does not know."),
    "another way in": (challenged("Negotiate"), "wants a way of logging in that gpuctl does not know."),
    "a long way in": (challenged("a" * 60000 + "!"), "wants a way of logging in that gpuctl does not know."),
    "no end of it": (challenged(BEARER, f'{{"token": "{SECRET}"}}'.encode()), "(HTTP status 401, which can mean"),
    "no realm": (challenged("Bearer x=y"), "sends gpuctl to an address that is none."),
    "no token": (challenged(BEARER), "token server gives no token."),
    "no JSON": (challenged(BEARER, b"<html>"), "token server gives no token."),
    "a token of two lines": (challenged(BEARER, b'{"token": "a\\r\\nHost: b"}'), "token server gives no token."),
    "a token of numbers": (challenged(BEARER, b'{"token": 7}'), "token server gives no token."),
    "a large token": (challenged(BEARER, b" " * (2 << 20)), "sends more than the 1 MiB that gpuctl reads."),
    "a broken token server": (challenged(BEARER, b"", 500), "token server answers with HTTP status 500."),
}


@pytest.mark.parametrize("case", [*NOT_AN_IMAGE, *OTHER_ANSWERS])
def test_a_registry_that_gives_no_image_gets_a_sentence(case: str) -> None:
    says, words = {**NOT_AN_IMAGE, **OTHER_ANSWERS}[case]
    with listen(Stage(says)) as address:
        sentence = why_not(f"{address}/a/b:1")
    assert words in sentence
    assert ("is not an image that gpuctl can read: " in sentence) == (case in NOT_AN_IMAGE)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (b"7", "it is no JSON object but a number"),
        (nested({"x": "DEEP"}), "it is nested more than 100 levels deep"),
        (config_of(env="A=1"), "its Env is no list but a text"),
        (config_of(env=[{"A": 1}]), "its Env[0] is no text but an object"),
        (b'{"config": [1]}', "its config is no JSON object but a list"),
        (b'{"os": ["linux"]}', "its os is no text but a list"),
    ],
)
def test_a_configuration_that_is_none_gets_a_sentence(config: bytes, words: str) -> None:
    with listen(Stage({**served(manifest_of(config)), "/blobs/": (200, {}, config)})) as address:
        assert f"is not an image that gpuctl can read: {words}." in why_not(f"{address}/a/b:1")


def test_half_a_character_does_not_reach_the_output() -> None:
    config = json.dumps({"os": "lin\ud800ux", "config": {"Env": ["A=\udfff", "B=\u202e"]}}).encode()
    with listen(Stage({**served(manifest_of(config)), "/blobs/": (200, {}, config)})) as address:
        found = read(f"{address}/a/b:1")
    assert (found.os, found.architecture, found.env) == ("lin?ux", "", {"A": "?", "B": "\u202e"})


def test_what_a_digest_names_is_verified_by_it() -> None:
    name = f"a/b@{digest(json.dumps(GOOD).encode())}"
    with listen(Stage(served(GOOD))) as address:
        assert read(f"{address}/{name}").digest == name.partition("@")[2]
    with listen(Stage(served(manifest_of(ARM), Docker_Content_Digest=name.partition("@")[2]))) as address:
        assert "another digest than it should" in why_not(f"{address}/{name}")


def test_a_login_is_for_the_registry_and_not_for_where_it_sends_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text(f"default login {USER} password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    store = Stage({"": (200, {}, AMD)})
    with listen(store) as there:
        other = f"http://localhost:{there.partition(':')[2]}/blob?signature={SECRET}"
        stage = Stage({**served(GOOD), "/blobs/": (307, {"Location": other}, b"")})

        def front(request: Request) -> None:
            known = request.headers["Authorization"]
            stage(request) if known else answer(request, 401, headers={"WWW-Authenticate": "Basic realm=x"})

        with listen(front) as here:
            assert read(f"{here}/a/b:1", machine({here: f"{USER}:{PASSWORD}"})).env["CUDA_VERSION"] == "12.4.1"
    login = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert {secret for _, secret in stage.seen} == {login}
    assert [secret for _, secret in store.seen] == [None]


def test_where_a_registry_sends_us_may_not_ask_for_the_login() -> None:
    store = Stage(challenged(BEARER, b'{"token": "x"}'))
    with (
        listen(store) as there,
        listen(Stage({**served(GOOD), "/blobs/": (307, {"Location": f"http://{there}/blob"}, b"")})) as here,
    ):
        assert "(HTTP status 401, " in why_not(f"{here}/a/b:1", machine({here: f"{USER}:{PASSWORD}"}))
    assert store.seen == [("/blob", None)]


def test_where_a_registry_sends_us_is_named_when_it_does_not_answer(certificate: Path) -> None:
    stage = Stage({**served(GOOD), "/blobs/": (307, {"Location": "https://127.0.0.1:1/blob"}, b"")})
    with listen(stage, certificate) as address:
        assert why_not(f"{address}/a/b:1") == "127.0.0.1:1 does not answer (Connection refused)."


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "])
def test_a_registry_that_drips_is_left_at_the_deadline(head: bytes) -> None:
    over = threading.Event()

    def drip(request: Request) -> None:
        request.wfile.write(head)
        while head and not over.is_set():
            request.wfile.write(b"x")
            time.sleep(0.02)
        over.wait()

    with listen(drip) as address:
        started = time.monotonic()
        assert why_not(f"{address}/a/b:1", seconds=0.5).startswith(f"The registry {address} did not answer within 0.5")
        assert time.monotonic() - started < PATIENCE
        over.set()


def test_what_does_not_speak_http_gets_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            for _ in range(2):
                client, _ = server.accept()
                client.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
                client.close()

        threading.Thread(target=greet, daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert why_not(f"{address}/a/b:1").startswith(f"{address} does not answer (")
    assert why_not("127.0.0.1:1/a/b:1") == "127.0.0.1:1 does not answer (Connection refused)."
