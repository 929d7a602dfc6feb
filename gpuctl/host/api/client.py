"""The API asked by the official client's connection pool: one connection, TLS and proxy as the kubeconfig has them.

Pages come as they are: the client's own models take twenty times as long as reading the few fields that count.
"""

from __future__ import annotations

import ssl
from typing import Any, Optional, Tuple, Type

from gpuctl import __version__
from gpuctl.bounds import TooLong, amount
from gpuctl.host.api.answer import NO_ANSWER, ApiAnswer, Ask
from gpuctl.host.api.kubeconfig import access
from gpuctl.host.look.deadline import DeadlineExceeded, within

CONNECT, SILENCE, DEADLINE = 10.0, 30.0, 60.0
"""Seconds for a connection, between two pieces of an answer, and for all of it."""
PAGE_LIMIT = 64 << 20
"""Bytes of an answer, unpacked: 500 nodes of 50 kB are 25 MB."""
_PIECE = 1 << 20


def client(context: Optional[str]) -> Ask:
    """Returns what asks the cluster of a context of the kubeconfig. Raises ApiProblem."""
    import urllib3
    from kubernetes.client.rest import RESTClientObject

    way = access(context)
    pool = RESTClientObject(way.configuration).pool_manager
    headers = urllib3.HTTPHeaderDict({"Accept": "application/json", "Accept-Encoding": "gzip"})
    headers["User-Agent"] = "gpuctl/%s" % __version__
    for name, value in way.headers:
        headers.add(name, value)
    urllib3.disable_warnings()  # insecure-skip-tls-verify is the user's own choice
    timeout = urllib3.Timeout(connect=CONNECT, read=SILENCE)

    def exchange(path: str) -> ApiAnswer:
        response = pool.request(
            "GET",
            way.configuration.host + path,
            headers=headers,
            timeout=timeout,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            body = _whole(response)
        except BaseException:
            response.close()  # what is left of the answer would be the next one's beginning
            raise
        response.release_conn()
        return ApiAnswer(response.status, body, _seconds(response.headers.get("Retry-After", "")))

    def ask(path: str) -> ApiAnswer:
        try:
            return within(DEADLINE, lambda: exchange(path))
        except DeadlineExceeded as error:
            return ApiAnswer(NO_ANSWER, detail=str(error))
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return ApiAnswer(NO_ANSWER, detail=_why(error, way.configuration.host))

    return ask


def _whole(response: Any) -> bytes:
    raw = bytearray()
    while True:
        piece = response.read(_PIECE)
        if not piece:
            return bytes(raw)
        raw += piece
        if len(raw) > PAGE_LIMIT:
            raise TooLong(PAGE_LIMIT)


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isdecimal() and len(retry_after) < 6 else 0.0


_TLS: Tuple[Tuple[str, str], ...] = (
    ("certificate has expired", "its certificate has expired"),
    ("not yet valid", "its certificate is not valid yet: compare the clocks"),
    ("Hostname mismatch", "its certificate is for another name (kubeconfig: tls-server-name)"),
    ("IP address mismatch", "its certificate is for another address (kubeconfig: tls-server-name)"),
    ("self-signed", "its certificate is signed by an authority that the kubeconfig does not name"),
    ("self signed", "its certificate is signed by an authority that the kubeconfig does not name"),
    ("unable to get local issuer", "its certificate is signed by an authority that the kubeconfig does not name"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate cannot be verified"),
    ("_ALERT_", "it refused the client's certificate, or the way of encrypting"),
    # Its alert is lost where it closes before all was read (TLS 1.3 tells only after the handshake).
    ("EOF occurred in violation", "it hung up before its answer, as where it refused the client's certificate"),
    ("WRONG_VERSION_NUMBER", "what answers there speaks no TLS: the server's address may want http"),
)


def _why(error: Exception, server: str) -> str:
    """Why there was no answer, in words that go after "the cluster could not be asked: "."""
    import urllib3.exceptions as problems

    text = str(error)
    tls = (words for part, words in _TLS if part in text)
    refused = "the connection was refused" if "refused" in text else _last(error)
    kinds: Tuple[Tuple[Tuple[Type[BaseException], ...], str], ...] = (
        ((problems.ProxyError,), "the proxy on the way does not let it through: %s" % _last(error)),
        ((problems.NameResolutionError,), "its name cannot be resolved"),
        ((problems.SSLError, ssl.SSLError), next(tls, _last(error))),
        ((problems.NewConnectionError,), refused),
        ((problems.ConnectTimeoutError, problems.ReadTimeoutError), "it does not answer in time"),
        ((TooLong,), "it sent more than %s at once" % amount(PAGE_LIMIT)),
        ((problems.ProtocolError, problems.DecodeError), "it hung up in the middle of its answer"),
    )
    words = next((words for types, words in kinds if isinstance(error, types)), _last(error))
    return "%s: %s" % (server.rpartition("@")[2][:200], words)


def _last(error: BaseException) -> str:
    """The words of the error at the bottom of those that wrap it, without the client's own objects."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    words = getattr(error, "strerror", None) or str(error)
    return words.rpartition(">: ")[2][:300] or type(error).__name__
