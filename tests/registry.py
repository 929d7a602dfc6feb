"""An image registry of a test's own: it serves one image, under any name, to a Docker on the same machine."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def image(root: bytes) -> dict[str, tuple[str, bytes]]:
    """The image of a root file system (a tar): {last part of the path: (media type, body)}."""
    layer = gzip.compress(root, mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/usr/bin:/bin", "NVIDIA_VISIBLE_DEVICES=all"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(root)]},
        }
    ).encode()
    types = ("application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip")
    parts = [
        {"mediaType": kind, "size": len(body), "digest": _digest(body)}
        for kind, body in zip(types, (config, layer), strict=True)
    ]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": parts[0], "layers": parts[1:]}
    served = {_digest(config): (types[0], config), _digest(layer): (types[1], layer)}
    return {**served, "manifest": (MANIFEST, json.dumps(manifest).encode())}


@contextmanager
def serve(parts: dict[str, tuple[str, bytes]] | None) -> Iterator[str]:
    """Yields the registry's address, host:port. With None it accepts every request and answers none."""
    given_up = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if parts is None:
                given_up.wait()
                return
            name = "manifest" if "/manifests/" in self.path else self.path.rpartition("/")[2]
            kind, body = parts.get(name, ("application/json", b"{}"))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Content-Digest", _digest(body))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        given_up.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
