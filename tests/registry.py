"""Image registries of a test's own: Debian's docker-registry, and servers that say what a test wants."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
from simhost import until

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
REGISTRY = "/usr/bin/docker-registry"

Respond = Callable[[BaseHTTPRequestHandler], None]


def image(root: bytes) -> dict[str, tuple[str, bytes]]:
    """The image of a root file system (a tar): {last part of the path: (media type, body)}."""
    layer = gzip.compress(root, mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/usr/bin:/bin", "NVIDIA_VISIBLE_DEVICES=all"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(root)]},
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config),
        "layers": [descriptor(LAYER, layer)],
    }
    served = {digest(config): (CONFIG, config), digest(layer): (LAYER, layer)}
    return {**served, "manifest": (MANIFEST, json.dumps(manifest).encode())}


@contextmanager
def serve(parts: dict[str, tuple[str, bytes]] | None) -> Iterator[str]:
    """Serves one image, under any name, and yields host:port. With None it accepts every request and answers none."""
    given_up = threading.Event()

    def respond(request: BaseHTTPRequestHandler) -> None:
        if parts is None:
            given_up.wait()
            return
        name = "manifest" if "/manifests/" in request.path else request.path.rpartition("/")[2]
        kind, body = parts.get(name, ("application/json", b"{}"))
        answer(request, 200, body, {"Content-Type": kind, "Docker-Content-Digest": digest(body)})

    with listen(respond) as address:
        try:
            yield address
        finally:
            given_up.set()


@contextmanager
def listen(respond: Respond, certificate: Path | None = None) -> Iterator[str]:
    """Yields host:port of a server that answers every request with `respond`; with TLS where a certificate is given."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            respond(self)

        do_HEAD = do_POST = do_CONNECT = do_GET

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that hangs up, or does not trust us, is what some tests want."""

    server = Server(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # The handshake in the thread of the request: one that hangs or fails must not stop the others.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(request: BaseHTTPRequestHandler, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
    """Answers a request; one of HEAD without the body."""
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


@contextmanager
def docker_registry(folder: Path, htpasswd: str = "", certificate: Path | None = None) -> Iterator[str]:
    """Starts Debian's docker-registry in `folder` and yields its host:port.

    `htpasswd` is the text of such a file: who may pull and push. `certificate` holds a key too.
    """
    folder.mkdir(exist_ok=True)
    (folder / "htpasswd").write_text(htpasswd)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    tls = {"tls": {"certificate": str(certificate), "key": str(certificate)}} if certificate else {}
    auth = {"auth": {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}} if htpasswd else {}
    storage = {"filesystem": {"rootdirectory": str(folder / "storage")}}
    settings = {"version": 0.1, "storage": storage, "http": {"addr": address, "secret": "x", **tls}, **auth}
    (folder / "config.yml").write_text(json.dumps(settings))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([REGISTRY, "serve", str(folder / "config.yml")], stdout=log, stderr=log, env={})
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.terminate()
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    host, _, port = address.partition(":")

    def answers() -> bool:
        try:
            socket.create_connection((host, int(port))).close()
        except ConnectionRefusedError:
            return False
        return True

    assert until(lambda: answers() or process.poll() is not None) and process.poll() is None, "it did not start"


def push(address: str, repository: str, tag: str, manifest: Mapping[str, Any], *blobs: bytes) -> str:
    """Puts a manifest, or a list of them, and what it needs into a docker-registry. Returns its digest."""
    base = f"http://{address}/v2/{repository}"
    for blob in blobs:
        upload = _send("POST", f"{base}/blobs/uploads/").headers["Location"]
        _send("PUT", f"{upload}&digest={digest(blob)}", blob, "application/octet-stream")
    body = json.dumps(manifest).encode()
    _send("PUT", f"{base}/manifests/{tag}", body, manifest["mediaType"])
    return digest(body)


def forward(request: BaseHTTPRequestHandler, address: str) -> None:
    """Answers a GET as the registry at `address` does."""
    given = requests.get(f"http://{address}{request.path}", headers={"Accept": request.headers["Accept"]}, timeout=300)
    kept = ("Content-Type", "Docker-Content-Digest")
    answer(request, given.status_code, given.content, {name: given.headers.get(name, "") for name in kept})


def descriptor(kind: str, body: bytes) -> dict[str, Any]:
    """What a manifest says of one of its parts."""
    return {"mediaType": kind, "size": len(body), "digest": digest(body)}


def digest(body: bytes) -> str:
    """The digest by which a registry knows a body."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _send(method: str, url: str, body: bytes = b"", kind: str = "") -> requests.Response:
    done = requests.request(method, url, data=body, headers={"Content-Type": kind} if kind else {}, timeout=300)
    done.raise_for_status()
    return done
