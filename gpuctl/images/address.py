"""The addresses that a registry may send gpuctl to."""

from __future__ import annotations

import ipaddress
import re

from gpuctl.frozen import dataclass

# Only what cannot be read in two ways: two readers who disagree on the host would give it another host's secrets.
_URL = re.compile(
    r"(?P<scheme>https?)://(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>[/?][!-\[\]-~]*)?"
)
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Address:
    """A URL whose parts are certain. `host` is in lower case, an IPv6 address without its brackets."""

    url: str
    scheme: str
    host: str
    port: int

    @property
    def origin(self) -> tuple[str, str, int]:
        """What two addresses have in common when they are the same server's."""
        return self.scheme, self.host, self.port

    @property
    def server(self) -> str:
        """The host, with the port where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(self.host)


def parse_address(url: str) -> Address:
    """Returns an HTTP URL's parts. Raises ValueError where it is none, or could be read in two ways."""
    match = _URL.fullmatch(url)
    if not match:
        raise ValueError("not an address")
    host = (match["six"] or match["name"]).lower()
    return Address(url, match["scheme"], host, int(match["port"] or _PORTS[match["scheme"]]))


def is_loopback(host: str) -> bool:
    """Returns whether a host is this machine. A name other than localhost is not looked up."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
