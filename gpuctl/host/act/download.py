"""A public file from a server, over TLS: the key of a package repository, what PyPI says of a package.

What its reader verifies by a signature may come without TLS, too, and from a file: a package of a repository.
"""

from __future__ import annotations

import ssl
from http.client import HTTPException, HTTPMessage
from typing import IO, Optional, Sequence
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from gpuctl.bounds import TooLong, amount, whole
from gpuctl.host.look.deadline import DeadlineExceeded, within

TLS = ("https",)
SIGNED = ("https", "http", "file")
"""The schemes of addresses from which one may come whose signature its reader verifies."""
_SILENCE = 10.0
"""Seconds for a connection to come about, and between two pieces of the answer."""


class DownloadProblem(Exception):
    """The file could not be had; the message says from which server, and why."""


class _OnlyTls(HTTPRedirectHandler):
    """A redirect to where everybody may change the answer is not followed; nor one to another server, if so wished."""

    def __init__(self, elsewhere: bool, schemes: Sequence[str]) -> None:
        self._elsewhere, self._schemes = elsewhere, schemes

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Optional[Request]:
        if urlsplit(newurl).scheme not in self._schemes or newurl.startswith("file:"):
            raise URLError("it sends gpuctl on to an address without TLS")
        if not self._elsewhere and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            raise URLError("it sends gpuctl on to another server")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str, limit: int, deadline: float, elsewhere: bool = True, schemes: Sequence[str] = TLS) -> bytes:
    """Returns what lies at an address. Raises DownloadProblem, for more than `limit` bytes too.

    `deadline` in seconds, for all of it. `elsewhere`: whether a redirect to another server is followed. `schemes`: TLS,
    or SIGNED. HTTPS_PROXY and the system's certificates count.
    """
    server = urlsplit(url).hostname or url
    try:
        return within(deadline, lambda: _read(url, limit, elsewhere, schemes))
    except TooLong:
        raise DownloadProblem("%s sends more than the %s that gpuctl reads." % (server, amount(limit))) from None
    except HTTPError as error:
        raise DownloadProblem("%s answers with HTTP status %d." % (server, error.code)) from None
    except (URLError, HTTPException, OSError, ValueError, DeadlineExceeded) as error:
        raise DownloadProblem("%s does not answer (%s)." % (server, _reason(error))) from None


def _read(url: str, limit: int, elsewhere: bool, schemes: Sequence[str]) -> bytes:
    if urlsplit(url).scheme not in schemes:
        raise ValueError("the address is without TLS")
    request = Request(url, headers={"User-Agent": "gpuctl"})  # noqa: S310
    with build_opener(_OnlyTls(elsewhere, schemes)).open(request, timeout=_SILENCE) as answer:
        return whole(answer.read, limit)


def _reason(error: BaseException) -> str:
    inner = error.reason if isinstance(error, URLError) else error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return "its certificate is not trusted: %s" % inner.verify_message
    return (inner.strerror if isinstance(inner, OSError) and inner.strerror else str(inner)) or "no answer"
