"""An API server for tests: lists over TLS, in pages, with selectors of fields; and every ill answer of a real one.

Nothing of it is played by hand beyond HTTP: kubectl and the official client read it as they read a cluster.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ruamel.yaml import YAML

Object = dict[str, Any]
DRA = "resource.k8s.io"
PLACES = {
    "Node": ("", "v1", "nodes"),
    "Pod": ("", "v1", "pods"),
    "Event": ("", "v1", "events"),
    "ResourceQuota": ("", "v1", "resourcequotas"),
    "PersistentVolumeClaim": ("", "v1", "persistentvolumeclaims"),
    "DaemonSet": ("apps", "v1", "daemonsets"),
    "Job": ("batch", "v1", "jobs"),
    "RuntimeClass": ("node.k8s.io", "v1", "runtimeclasses"),
    "DeviceClass": (DRA, "v1", "deviceclasses"),
    "ResourceSlice": (DRA, "v1", "resourceslices"),
    "ResourceClaim": (DRA, "v1", "resourceclaims"),
    "ClusterPolicy": ("nvidia.com", "v1", "clusterpolicies"),
    "NVIDIADriver": ("nvidia.com", "v1alpha1", "nvidiadrivers"),
}
"""By kind: group, version, and what its list is called."""
CLUSTERED = ("Node", "RuntimeClass", "DeviceClass", "ResourceSlice")
TOKEN = "hunter2-token"  # noqa: S105


def path_of(kind: str) -> str:
    """Returns the path of a kind's list."""
    group, version, plural = PLACES[kind]
    return f"/apis/{group}/{version}/{plural}" if group else f"/api/{version}/{plural}"


def lists_in(text: str) -> dict[str, list[Object]]:
    """Returns the objects of a text of lists, by kind."""
    found: dict[str, list[Object]] = {kind: [] for kind in PLACES}
    at = 0
    while at < len(text.rstrip()):
        value, at = json.JSONDecoder().raw_decode(text, at)
        at += len(text[at:]) - len(text[at:].lstrip())
        found[value["kind"].removesuffix("List")] = value["items"]
    return found


def status(code: int, message: str, reason: str = "", **details: str) -> bytes:
    """Returns what a server says where it gives no list."""
    return json.dumps(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details,
            "code": code,
        }
    ).encode()


class Answers(BaseHTTPRequestHandler):
    """One connection. What it serves is the server's."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a body would wait 40 ms until its headers are acknowledged
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.headers.append(dict(self.headers))
        self.server.groups.append(self.headers.get_all("Impersonate-Group", []))
        self.server.connections.add(self.client_address)
        path = self.path.partition("?")[0]
        refusal = self._identity()
        if refusal:
            self.send(*refusal)
            return
        fault = self.server.fault(self.path)
        if fault:
            fault(self)
            return
        body = self.server.answer(path, {key: one[0] for key, one in parse_qs(urlsplit(self.path).query).items()})
        if body is None:
            self.send(404, b"404 page not found\n", "text/plain")
        elif isinstance(body, tuple):
            self.send(*body)
        else:
            self.send(200, body)

    def do_PATCH(self) -> None:
        """Changes a node by a merge (RFC 7386): one that names a resourceVersion only if the node has that."""
        path = self.path.partition("?")[0]
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.patched.append(patch)
        fault = self.server.fault(f"PATCH {path}")
        name = path.rpartition("/")[2]
        node = next((one for one in self.server.lists["Node"] if one["metadata"]["name"] == name), None)
        wanted = patch.get("metadata", {}).pop("resourceVersion", None)
        if fault:
            fault(self)
        elif node is None:
            self.send(404, status(404, "not found", "NotFound"))
        elif wanted not in (None, node["metadata"].get("resourceVersion")):
            self.send(409, status(409, f'Operation cannot be fulfilled on nodes "{name}"', "Conflict"))
        else:
            before = node.get("spec", {}).get("unschedulable")
            merge(node, patch)
            if node["spec"].get("unschedulable") != before:
                query = parse_qs(urlsplit(self.path).query)
                node["metadata"]["managedFields"] = managed(node, query.get("fieldManager", ["kubectl"])[0])
            node["metadata"]["resourceVersion"] = str(len(self.server.patched))
            self.send(200, json.dumps({"kind": "Node", "apiVersion": "v1", **node}).encode())

    def _identity(self) -> tuple[int, bytes] | None:
        certificate = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        if (
            self.server.token
            and self.headers.get("Authorization", "").partition(" ")[2] != self.server.token
            and not certificate
        ):
            return 401, status(401, "Unauthorized", "Unauthorized")
        return None

    def send(self, code: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        """Answers. Large bodies are packed where the client takes that, as a real server does."""
        self.send_response(code)
        if len(body) > 128 << 10 and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = self.server.packed(body)
            self.send_header("Content-Encoding", "gzip")
            self.server.gzipped += 1
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


Fault = Callable[[Answers], None]


class Server(ThreadingHTTPServer):
    """`lists` by kind; `faults` by a part of the path: what is answered one after another, None: the list itself.

    The last of them is answered from then on. `token` "": anybody may read. `page`: more than these are no page.
    """

    daemon_threads = True

    def __init__(self, lists: Mapping[str, list[Object]]) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.lists, self.token = lists, TOKEN
        self.logs: dict[tuple[str, str, str], bytes] = {}
        """By namespace, pod and container."""
        self.faults: dict[str, list[Fault | None]] = {}
        self.asked: list[str] = []
        self.patched: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.groups: list[list[str]] = []
        self.connections: set[Any] = set()
        self.gzipped = 0
        self.dra_versions = ("v1",)
        self.page = 10**9

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust this server hangs up: nothing to say."""

    def packed(self, body: bytes) -> bytes:
        return gzip.compress(body, 1)

    def fault(self, path: str) -> Fault | None:
        for part, faults in self.faults.items():
            if part in path and faults:
                return faults.pop(0) if len(faults) > 1 else faults[0]
        return None

    def answer(self, path: str, query: Mapping[str, str]) -> bytes | tuple[int, bytes] | None:
        """Returns an answer's body, None where there is nothing at this path."""
        if path == "/version":
            return json.dumps({"major": "1", "minor": "36", "gitVersion": "v1.36.0"}).encode()
        log = re.fullmatch("/api/v1/namespaces/([^/]+)/pods/([^/]+)/log", path)
        if log:
            return self.logs.get((log[1], log[2], query.get("container", "")))
        found = discovery(path)
        if found is not None:
            return json.dumps(found).encode()
        for kind in PLACES:
            group = PLACES[kind][0]
            versions = self.dra_versions if group == DRA else ("v1",)
            if path in [path_of(kind).replace("/v1/", f"/{version}/") for version in versions]:
                return self.listed(kind, query)
            name = re.fullmatch(re.escape(path_of(kind)) + "/([^/]+)", path)
            if name and kind in CLUSTERED:
                one = [one for one in self.lists[kind] if one["metadata"]["name"] == name[1]]
                return json.dumps({"kind": kind, "apiVersion": "v1", **one[0]}).encode() if one else None
        return None

    def listed(self, kind: str, query: Mapping[str, str]) -> bytes | tuple[int, bytes]:
        group, version, _ = PLACES[kind]
        wanted = [one for one in self.lists[kind] if chosen(one, query.get("fieldSelector", ""))]
        begin, limit = 0, min(int(query.get("limit") or 10**9), self.page)
        if "continue" in query:
            try:
                begin = json.loads(base64.urlsafe_b64decode(query["continue"]))["start"]
            except ValueError:
                return 400, status(400, "invalid continue token: continue key is not valid", "BadRequest")
        more = begin + limit < len(wanted)
        token = base64.urlsafe_b64encode(json.dumps({"v": "meta.k8s.io/v1", "start": begin + limit}).encode()).decode()
        meta = {"resourceVersion": "320", **({"continue": token} if more else {})}
        items = wanted[begin : begin + limit]
        api = f"{group}/{version}" if group else version
        return json.dumps({"kind": f"{kind}List", "apiVersion": api, "metadata": meta, "items": items}).encode()


def chosen(found: Object, selector: str) -> bool:
    """Returns whether an object has the fields: status.phase!=Succeeded,spec.nodeName=a."""
    for part in filter(None, selector.split(",")):
        field, sign, value = re.split(r"(!=|=)", part, maxsplit=1)
        there: Any = found
        for name in field.split("."):
            there = there.get(name, {}) if isinstance(there, dict) else {}
        if ((there or "") == value) != (sign == "="):
            return False
    return True


def merge(found: Object, patch: Object) -> None:
    """Changes an object as a patch of RFC 7386 says."""
    for name, value in patch.items():
        if isinstance(value, dict):
            merge(found.setdefault(name, {}), value)
        elif value is None:
            found.pop(name, None)
        else:
            found[name] = value


def managed(node: Object, manager: str) -> list[Object]:
    """Returns whose a node's cordon is: whoever changes the value of a field owns it from then on."""
    fields = {"f:spec": {"f:unschedulable": {}}} if node["spec"].get("unschedulable") else {}
    kubelet = {"manager": "kubelet", "operation": "Update", "fieldsV1": {"f:metadata": {"f:labels": {}}}}
    return [kubelet, {"manager": manager, "operation": "Update", "fieldsV1": fields}]


def discovery(path: str) -> Object | None:
    """Returns which groups and kinds there are, by which kubectl knows what `nodes` means."""
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    groups = sorted({group for group, _, _ in PLACES.values() if group})
    if path == "/apis":
        version = [{"groupVersion": f"{group}/v1", "version": "v1"} for group in groups]
        return {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {"name": group, "versions": [one], "preferredVersion": one}
                for group, one in zip(groups, version, strict=True)
            ],
        }
    for group in ["", *groups]:
        if path == (f"/apis/{group}/v1" if group else "/api/v1"):
            return {
                "kind": "APIResourceList",
                "groupVersion": f"{group}/v1".lstrip("/"),
                "resources": [
                    {
                        "name": plural,
                        "singularName": kind.lower(),
                        "kind": kind,
                        "namespaced": kind not in CLUSTERED,
                        "verbs": ["get", "list"],
                    }
                    for kind, (of, _, plural) in PLACES.items()
                    if of == group
                ],
            }
    return None


# What a server answers ill


def says(code: int, message: str, reason: str = "", **headers: str) -> Fault:
    """Answers with a status."""
    return lambda answers: answers.send(code, status(code, message, reason), **headers)


def html(answers: Answers) -> None:
    """Answers as a login page does."""
    answers.send(200, b"<!DOCTYPE html><html>Sign in</html>", "text/html")


def half(answers: Answers) -> None:
    """Hangs up in the middle of a body."""
    answers.send_response(200)
    answers.send_header("Content-Type", "application/json")
    answers.send_header("Content-Length", "100000")
    answers.end_headers()
    answers.wfile.write(b'{"kind": "NodeList", "items": [{"metadata": {"name": "a"')
    answers.close_connection = True


def nothing(answers: Answers) -> None:
    """Hangs up without a word."""
    answers.close_connection = True


def silent(answers: Answers) -> None:
    """Says nothing for a long time."""
    time.sleep(300)


def forbidden(kind: str) -> Fault:
    """Answers as the API does to whoever may not see a list."""
    group, _, plural = PLACES[kind]
    what = f'resource "{plural}" in API group "{group}"'
    message = f'{plural} is forbidden: User "bob" cannot list {what} at the cluster scope'
    return lambda answers: answers.send(403, status(403, message, "Forbidden", kind=plural))


def endless(answers: Answers) -> None:
    """A list of nothing that names a next page, another one each time."""
    token = f"t{len(answers.server.asked)}"
    answers.send(200, json.dumps({"kind": "NodeList", "metadata": {"continue": token}, "items": []}).encode())


# Certificates


_NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Certificates:
    """An authority of its own, and what it has signed: key and certificate by name, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("ca", "other"):
            self._openssl(
                "req", "-x509", *_NEW, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}"
            )
        self.sign("server", "DNS:localhost,IP:127.0.0.1")
        self.sign("elsewhere", "DNS:api.example.test")
        self.sign("expired", "DNS:localhost,IP:127.0.0.1", days=-1)
        self.sign("bob", "DNS:bob")
        self.sign("late-bob", "DNS:bob", days=-1)

    def sign(self, name: str, names: str, days: int = 30) -> None:
        """Makes a key, and a certificate for these names."""
        self._openssl("req", *_NEW, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/O=team/CN={name}")
        (self.folder / "ext").write_text(f"subjectAltName={names}\n")
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", str(days), "-extfile", "ext")
        self._openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.crt")

    def _openssl(self, *argv: str) -> None:
        subprocess.run(["openssl", *argv], check=True, capture_output=True, cwd=self.folder)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def data(self, name: str) -> str:
        return base64.b64encode((self.folder / name).read_bytes()).decode()


@contextmanager
def serving(server: Server, certificates: Certificates | None, name: str = "server") -> Iterator[str]:
    """Serves, over TLS where there are certificates; hands out the address."""
    if certificates:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.path(f"{name}.crt"), certificates.path(f"{name}.key"))
        context.load_verify_locations(certificates.path("ca.crt"))
        context.verify_mode = ssl.CERT_OPTIONAL
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificates else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def kubeconfig(path: Path, cluster: Object, user: Object | None, **changed: Any) -> Path:
    """Writes a kubeconfig with one context, `here`."""
    context = {"cluster": "c", **({"user": "u"} if user is not None else {})}
    whole = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": context}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}] if user is not None else [],
        **changed,
    }
    with path.open("w") as file:
        YAML(typ="safe").dump(whole, file)
    return path
