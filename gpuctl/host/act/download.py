"""A small public file from a server, over TLS: the key of a package repository, what PyPI says of a package."""

from __future__ import annotations

import ssl
from http.client import HTTPException, HTTPMessage
from typing import IO, Optional
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from gpuctl.bounds import TooLong, amount, whole
from gpuctl.host.look.deadline import DeadlineExceeded, within

_SILENCE = 10.0
"""Seconds for a connection to come about, and between two pieces of the answer."""


class DownloadProblem(Exception):
    """The file could not be had; the message says from which server, and why."""


class _OnlyTls(HTTPRedirectHandler):
    """A redirect to where everybody may change the answer is not followed; nor one to another server, if so wished."""

    def __init__(self, elsewhere: bool) -> None:
        self._elsewhere = elsewhere

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Optional[Request]:
        if urlsplit(newurl).scheme != "https":
            raise URLError("it sends gpuctl on to an address without TLS")
        if not self._elsewhere and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            raise URLError("it sends gpuctl on to another server")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str, limit: int, deadline: float, elsewhere: bool = True) -> bytes:
    """Returns what lies at an https address. Raises DownloadProblem, for more than `limit` bytes too.

    `deadline` in seconds, for all of it. `elsewhere`: whether a redirect to another server is followed. HTTPS_PROXY and
    the system's certificates count.
    """
    server = urlsplit(url).hostname
    try:
        return within(deadline, lambda: _read(url, limit, elsewhere))
    except TooLong:
        raise DownloadProblem("%s sends more than the %s that gpuctl reads." % (server, amount(limit))) from None
    except HTTPError as error:
        raise DownloadProblem("%s answers with HTTP status %d." % (server, error.code)) from None
    except (URLError, HTTPException, OSError, ValueError, DeadlineExceeded) as error:
        raise DownloadProblem("%s does not answer (%s)." % (server, _reason(error))) from None


def _read(url: str, limit: int, elsewhere: bool) -> bytes:
    if urlsplit(url).scheme != "https":
        raise ValueError("the address is without TLS")
    request = Request(url, headers={"User-Agent": "gpuctl"})  # noqa: S310
    with build_opener(_OnlyTls(elsewhere)).open(request, timeout=_SILENCE) as answer:
        return whole(answer.read, limit)


def _reason(error: BaseException) -> str:
    inner = error.reason if isinstance(error, URLError) else error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return "its certificate is not trusted: %s" % inner.verify_message
    return (inner.strerror if isinstance(inner, OSError) and inner.strerror else str(inner)) or "no answer"
