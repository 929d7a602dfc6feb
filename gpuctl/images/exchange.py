"""HTTP with a registry and the servers that it names: few requests, small answers, no secret to a stranger.

Import it where it is used: requests takes its time.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin

import requests
import urllib3
from requests.adapters import HTTPAdapter

from gpuctl import __version__
from gpuctl.bounds import PIECE, TooLong, amount, whole
from gpuctl.frozen import dataclass
from gpuctl.images.address import Address, is_loopback, parse_address
from gpuctl.images.config import Unreadable

REQUESTS = 24
"""More than any registry needs: an index, a manifest, a configuration, a token, a few redirects for each."""
SILENCE_SECONDS = 10.0
"""For a connection to come about, and between two pieces of an answer."""
_REDIRECTS = (301, 302, 303, 307, 308)
# Bodies as they are: a compressed one could be a thousand times larger than what was sent.
_HEADERS = {"User-Agent": f"gpuctl/{__version__}", "Accept-Encoding": "identity"}


class NoAnswer(Unreadable):
    """No connection came about, or it broke off."""


@dataclass(frozen=True)
class HttpAnswer:
    """What a server said. The body of an answer other than 200 is not read.

    `redirected`: another address than the one asked for gave it.
    """

    status: int
    redirected: bool
    headers: Mapping[str, str]
    body: bytes


class Exchange:
    """The requests that reading one image takes. Their number is limited, their time is not: see within().

    `insecure` is a host that need not speak TLS, nor show a certificate that `context` trusts; where it is this
    machine, under any of its names. None: every server must.
    """

    def __init__(self, context: ssl.SSLContext, insecure: str | None) -> None:
        self._session = requests.Session()
        self._session.mount("https://", _Adapter(context))
        self._insecure = insecure
        self._left = REQUESTS
        self.answered = False
        """Whether any server has answered yet."""

    def get(self, url: str, headers: Mapping[str, str], limit: int, authorization: str | None = None) -> HttpAnswer:
        """Returns the answer, after redirects; `authorization` is for the server of `url` and no other.

        Raises Unreadable, for a body of more than `limit` bytes too.
        """
        first = address = self._address(url)
        while True:
            secret = {"Authorization": authorization} if authorization and address.origin == first.origin else {}
            with self._send("GET", address, {**headers, **secret}) as response:
                if response.status_code not in _REDIRECTS:
                    return self._answer(address, response, limit, redirected=address is not first)
                address = self._address(urljoin(address.url, response.headers.get("Location", "")))

    def post(self, url: str, form: Mapping[str, str], limit: int) -> HttpAnswer:
        """Returns the answer to a form. It follows no redirect: the form holds a secret. Raises Unreadable."""
        address = self._address(url)
        with self._send("POST", address, {}, form) as response:
            return self._answer(address, response, limit, redirected=False)

    def _address(self, url: str) -> Address:
        try:
            address = parse_address(url)
        except ValueError:
            raise Unreadable("The registry sends gpuctl to an address that is none.") from None
        if address.scheme != "https" and not self._excused(address):
            raise Unreadable(f"The registry sends gpuctl to {address.server} without TLS, where gpuctl does not go.")
        return address

    def _excused(self, address: Address) -> bool:
        if self._insecure is None:
            return False
        return address.host == self._insecure or (address.loopback and is_loopback(self._insecure))

    @contextmanager
    def _send(
        self, method: str, address: Address, headers: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> Iterator[requests.Response]:
        self._left -= 1
        if self._left < 0:
            raise Unreadable(f"The registry sends gpuctl from one address to the next, lastly to {address.server}.")
        verify = not self._excused(address)
        if not verify:  # whoever called the registry insecure need not be told so, on stderr
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        with _own_words(address.server):
            response = self._session.request(
                method,
                address.url,
                headers={**_HEADERS, **headers},
                data=form,
                auth=_as_it_is,
                timeout=SILENCE_SECONDS,
                allow_redirects=False,
                stream=True,
                verify=verify,
                proxies={"http": "", "https": ""} if address.loopback else None,
            )
        self.answered = True
        try:
            yield response
        finally:
            response.close()

    def _answer(self, address: Address, response: requests.Response, limit: int, redirected: bool) -> HttpAnswer:
        pieces = response.raw.stream(PIECE, decode_content=False) if response.status_code == 200 else iter(())
        with _own_words(address.server):
            try:
                body = whole(lambda _: next(pieces, b""), limit)
            except TooLong:
                raise Unreadable(f"{address.server} sends more than the {amount(limit)} that gpuctl reads.") from None
        return HttpAnswer(response.status_code, redirected, response.headers, body)


class _Adapter(HTTPAdapter):
    """Verifies by a context, where it verifies: requests by itself knows its own certificates, not the system's."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self._context = context

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: bool | str, cert: str | tuple[str, str] | None = None
    ) -> Any:
        place, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        if verify is not False:
            tls["ssl_context"] = self._context
        return place, tls


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keeps requests from putting in what ~/.netrc holds."""
    return request


@contextmanager
def _own_words(server: str) -> Iterator[None]:
    """Makes NoAnswer of all that goes wrong on the way. The libraries' words hold whole addresses, and so secrets."""
    try:
        yield
    except requests.exceptions.ProxyError as error:
        raise NoAnswer(f"The proxy that the environment names does not lead to {server} ({_reason(error)}).") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise NoAnswer(f"{server} does not answer ({_reason(error)}).") from None


def _reason(error: BaseException | None) -> str:
    reason = "the connection broke off"
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {error.verify_message}"
        if isinstance(error, ssl.SSLError):
            return "no TLS came about"
        if isinstance(error, (TimeoutError, requests.Timeout)):
            return "no answer in time"
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        error = error.__cause__ or error.__context__ or _wrapped(error)
    return reason


def _wrapped(error: BaseException) -> BaseException | None:
    """Urllib3 wraps TLS's errors without raising them."""
    inner = error.args[0] if error.args else None
    return inner if isinstance(inner, BaseException) else None
