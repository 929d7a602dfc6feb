"""Where Docker's client talks to: DOCKER_HOST, a context, or the default socket, in the client's own order."""

from __future__ import annotations

from typing import Optional, Tuple
from urllib.parse import urlsplit

from gpuctl.frozen import dataclass
from gpuctl.host.decode import object_in, parse_object, text_in
from gpuctl.host.look.reading import Host, Outcome, fact
from gpuctl.model import Fact

DEFAULT = "unix:///var/run/docker.sock"
RUNTIME_FOLDERS = "/run/user"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Endpoint:
    """Where the client talks to: `url` is unix:///path, tcp://… or ssh://…; `origin` is the setting that says so."""

    url: str
    origin: str
    """DOCKER_HOST, `context NAME`, `context NAME (DOCKER_CONTEXT)`, default, or default (rootless)."""

    def __str__(self) -> str:
        return "%s, by %s" % (self.url, self.origin)

    @property
    def local(self) -> bool:
        """Whether the daemon is on this machine."""
        parts = urlsplit(self.url)
        return parts.scheme == "unix" or (parts.scheme == "tcp" and parts.hostname in LOOPBACK)

    @property
    def chosen(self) -> bool:
        """Whether somebody chose another place than the one where Docker listens by itself."""
        return not self.origin.startswith("default") and self.is_own

    @property
    def is_own(self) -> bool:
        """Whether it is another place than that of the system's Docker, to which root is led, too."""
        return place(self.url) != place(DEFAULT)


def probe_endpoint(host: Host) -> Fact[Endpoint]:
    """Returns the endpoint; unknown when DOCKER_HOST is none, or a context is chosen that has none for Docker.

    docs.docker.com/engine/manage-resources/contexts: DOCKER_HOST overrides contexts, DOCKER_CONTEXT the chosen one.
    """
    by_hand = host.env("DOCKER_HOST")
    if by_hand.text:
        return fact(by_hand, lambda text: Endpoint(with_scheme(text), "DOCKER_HOST"))
    folder = host.env("DOCKER_CONFIG").text or host.env("HOME").text + "/.docker"
    settings = host.read(folder + "/config.json")
    chosen = host.env("DOCKER_CONTEXT")
    name = chosen.text or current_context(settings.text)
    if name and name != "default":
        return _of_context(host, folder, name, "context %s%s" % (name, " (DOCKER_CONTEXT)" if chosen.text else ""))
    return _default(host)


def with_scheme(address: str) -> str:
    """Returns an address as a URL; Docker takes one without a scheme for TCP. Raises ValueError for what is none.

    192.168.0.7:2375
    """
    url = address if "://" in address else "tcp://" + address
    try:
        urlsplit(url)
    except ValueError:
        raise ValueError("%r is no address" % address) from None
    return url


def current_context(text: str) -> Optional[str]:
    """Returns the context that the client's config.json chooses; none where it is broken, as the client has it.

    {"auths": {}, "currentContext": "desktop-linux"}
    """
    try:
        return text_in(parse_object(text or "{}"), "currentContext")
    except ValueError:
        return None


def _of_context(host: Host, folder: str, name: str, origin: str) -> Fact[Endpoint]:
    import hashlib

    directory = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
    meta = host.read("%s/contexts/meta/%s/meta.json" % (folder, directory))
    if meta.outcome is Outcome.ABSENT:
        return Fact(None, meta.source, unknown="the context %s does not exist" % name)
    return fact(meta, lambda text: Endpoint(parse_meta(text), origin))


def parse_meta(text: str) -> str:
    """Returns a context's endpoint. Raises ValueError.

    {"Name": "desktop-linux", "Endpoints": {"docker": {"Host": "unix:///home/u/.docker/desktop/docker.sock"}}}
    """
    endpoints = object_in(parse_object(text), "Endpoints")
    address = text_in(object_in(endpoints, "docker"), "Host")
    if not address:
        raise ValueError("no endpoint for Docker")
    return with_scheme(address)


def _default(host: Host) -> Fact[Endpoint]:
    socket = host.stat(DEFAULT[len("unix://") :])
    rootless = host.stat(runtime_folder(host) + "/docker.sock")
    if socket.outcome is Outcome.ABSENT and rootless.ok:
        return Fact(Endpoint("unix://" + rootless.source, "default (rootless)"), rootless.source)
    return Fact(Endpoint(DEFAULT, "default"), socket.source)


def users_sockets(host: Host) -> Fact[Tuple[str, ...]]:
    """Returns where users' own daemons listen: rootless Docker, which nothing leads root to. Absent where none does."""
    users = host.list(RUNTIME_FOLDERS).text.split()
    places = ["%s/%s/docker.sock" % (RUNTIME_FOLDERS, user) for user in users]
    return Fact(tuple("unix://" + one for one in places if host.stat(one).ok) or None, RUNTIME_FOLDERS)


def is_users(host: Host, endpoint: Endpoint) -> bool:
    """Returns whether the daemon is this user's own, with a socket in the user's directory."""
    return endpoint.url.startswith("unix://%s/" % runtime_folder(host))


def runtime_folder(host: Host) -> str:
    """Returns the directory of this user's sockets."""
    return host.env("XDG_RUNTIME_DIR").text or "%s/%s" % (RUNTIME_FOLDERS, host.env("euid").text)


def place(address: str) -> str:
    """Returns where a URL or a listening address leads to, so that two of them can be compared.

    unix:///var/run/docker.sock
    127.0.0.1:2375
    """
    if address.startswith("tcp://") or (":" in address and "/" not in address):
        return "tcp port " + address.rpartition(":")[2]  # who listens on 0.0.0.0 hears those who call 127.0.0.1
    path = urlsplit(address).path or address
    return path[len("/var") :] if path.startswith("/var/run/") else path
