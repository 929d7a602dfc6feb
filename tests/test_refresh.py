"""`gpuctl data refresh`: rows for the frameworks' newest releases, by what PyPI says that they pin."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate
from newer import DATA, rows_of
from registry import answer, listen
from simhost import Done, SimHost

from gpuctl.compat.knowledge.frameworks import releases_of

INSTALLED = "/var/lib/gpuctl/data"
TOOLKIT = 'cuda-toolkit[cublas,cudart]==13.2.2; platform_system == "Linux"'
CUDA_12 = 'nvidia-cuda-runtime-cu12>=12.1.105; sys_platform == "linux" and extra == "with-cuda"'
CUDA_13 = 'nvidia-cuda-runtime>=13.0.48; sys_platform == "linux" and extra == "with-cuda"'
PROJECTS = {"torch": "pytorch", "jax-cuda12-plugin": "jax", "jax-cuda13-plugin": "jax"}

Pages = dict[str, dict[str, Any]]


def page(version: str, *requires: str, releases: tuple[str, ...] = ()) -> dict[str, Any]:
    """What PyPI says of a project, as far as it matters here."""
    info = {"version": version, "requires_dist": list(requires) or None}
    return {"info": info, "releases": {one: [] for one in (*releases, version)}}


def pages(**newer: dict[str, Any]) -> Pages:
    """Of every project its newest release in the table, but for those that are given."""
    known = {name: page(releases_of(PROJECTS.get(name, name))[-1].version) for name in [*PROJECTS, *OTHERS]}
    return {**known, **{name.replace("_", "-"): said for name, said in newer.items()}}


OTHERS = ("tensorflow", "onnxruntime-gpu")
NEWER = {
    "torch": page("99.1.0", TOOLKIT, "filelock", releases=("99.0.0", "99.2.0rc1")),
    "jax_cuda12_plugin": page("99.0.0", CUDA_12, "jax-cuda12-pjrt==99.0.0"),
    "jax_cuda13_plugin": page("99.0.0", CUDA_13),
}


@pytest.fixture
def host(sim_host: Callable[..., SimHost]) -> SimHost:
    made: SimHost = sim_host(None, env={"PYTHONDONTWRITEBYTECODE": "1"})
    return made


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tls") / "pypi.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", made, "-out", made]
    name = ["-subj", "/CN=pypi.org", "-addext", "subjectAltName=DNS:pypi.org", "-days", "2"]
    subprocess.run(["openssl", "req", "-x509", *key, *name], check=True, capture_output=True)
    made.chmod(0o644)
    return made


@contextmanager
def pypi(certificate: Path, respond: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[dict[str, str]]:
    """Yields the environment in which pypi.org is a server of the test's own: its proxy leads nowhere else."""
    with listen(respond, certificate) as server:

        def tunnel(request: BaseHTTPRequestHandler) -> None:
            assert request.path == "pypi.org:443"
            address, _, port = server.partition(":")
            with socket.create_connection((address, int(port))) as there:
                request.send_response(200)
                request.end_headers()
                back = threading.Thread(target=pumped, args=(there, request.connection))
                back.start()
                pumped(request.connection, there)
                back.join()

        with listen(tunnel) as proxy:
            yield {"https_proxy": f"http://{proxy}", "no_proxy": "", "SSL_CERT_FILE": str(certificate)}


def pumped(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def saying(said: Pages) -> Callable[[BaseHTTPRequestHandler], None]:
    def respond(request: BaseHTTPRequestHandler) -> None:
        _, where, name, kind = request.path.split("/")
        assert (where, kind) == ("pypi", "json")
        answer(request, 200, json.dumps(said[name]).encode())

    return respond


def refresh(host: SimHost, env: dict[str, str], *argv: str) -> Done:
    done = host.gpuctl("data", "refresh", *argv, env=env)
    assert "Traceback" not in done.err
    return done


def test_rows_for_newer_releases_are_shown_as_a_diff_and_nothing_is_installed(host: SimHost, certificate: Path) -> None:
    with pypi(certificate, saying(pages(**NEWER))) as env:
        done = refresh(host, env, "--dry-run")
        said = refresh(host, env, "--dry-run", "--json").json
    validate(said, json.loads((DATA / "schemas" / "data-refresh.schema.json").read_text()))
    rows = {row["framework"]: row for row in said["rows"]}
    assert rows["pytorch"]["builds"] == {"13.2": None}
    assert rows["pytorch"]["source"] == "https://pypi.org/project/torch/99.1.0/ (requires cuda-toolkit 13.2.2)"
    assert rows["jax"]["builds"] == {"12.1": None, "13.0": None}
    assert sorted(rows) == ["jax", "pytorch"]
    assert (done.code, said["changed"], host.path(INSTALLED).exists()) == (0, True, False)
    added = [line[1:] for line in done.out.splitlines() if line.startswith("+{")]
    assert [json.loads(line) for line in added] == said["rows"]
    assert "pytorch: 99.0.0 lie between and were not asked for." in done.out
    assert "would install 1 tables" in done.out


def test_installed_rows_answer_and_a_second_run_changes_nothing(host: SimHost, certificate: Path) -> None:
    with pypi(certificate, saying(pages(**NEWER))) as env:
        assert refresh(host, env).code == 0
        again = refresh(host, env)
    assert (again.code, again.out.splitlines()[-1]) == (0, f"unchanged: {INSTALLED}")
    assert host.gpuctl("data", "verify").code == 0
    asked = host.gpuctl("check", "--framework=torch==99.1.0", "--gpu=A100", "--driver=620.70.06", "--json")
    assert (asked.code, asked.json["cuda"]) == (0, "13.2")


def test_other_tables_that_are_installed_stay(host: SimHost, certificate: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    tmp_path.chmod(0o755)
    own = [{**row, "source": "mine"} for row in rows_of("toolkit_cves")]
    (folder / "toolkit_cves.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in own))
    (day,) = (row for row in rows_of("tables") if row["table"] == "toolkit_cves")
    (folder / "tables.jsonl").write_text(f"{json.dumps(day)}\n")
    assert host.gpuctl("data", "use", str(folder)).code == 0
    with pypi(certificate, saying(pages(**NEWER))) as env:
        assert refresh(host, env).code == 0
    shown = host.gpuctl("data", "show", "--json").json["tables"]
    assert sorted(table["table"] for table in shown if not table["bundled"]) == ["frameworks", "toolkit_cves"]


def elsewhere(request: BaseHTTPRequestHandler) -> None:
    answer(request, 302, headers={"Location": "https://example.org/pypi/torch/json"})


def rubbish(request: BaseHTTPRequestHandler) -> None:
    answer(request, 200, b'{"info": {"version": "banana", "requires_dist": 7}, "releases": []}')


def gone(request: BaseHTTPRequestHandler) -> None:
    answer(request, 404)


@pytest.mark.parametrize(
    ("respond", "says"),
    [
        (elsewhere, "it sends gpuctl on to another server"),
        (rubbish, "is no page of a project"),
        (gone, "HTTP status 404"),
        (saying(pages(torch=page("99.0.0", "a requirement of " + "x" * 9999))), "is no page of a project"),
    ],
)
def test_an_answer_that_is_none_is_one_sentence_and_changes_nothing(
    host: SimHost, certificate: Path, respond: Callable[[BaseHTTPRequestHandler], None], says: str
) -> None:
    with pypi(certificate, respond) as env:
        done = refresh(host, env)
    assert (done.code, done.out, host.path(INSTALLED).exists()) == (3, "", False)
    assert says in done.err and done.err.endswith("Nothing was changed.\n") and done.err.count("\n") == 1


def test_without_a_network_it_says_so(host: SimHost) -> None:
    done = refresh(host, {"https_proxy": "http://127.0.0.1:9", "no_proxy": ""})
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("gpuctl data refresh: pypi.org does not answer (")
    assert done.err.count("\n") == 1
