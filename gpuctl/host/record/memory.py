"""A machine whose every answer is remembered: whoever asks again gets the same, and no program runs twice."""

from __future__ import annotations

import shlex
import threading
from typing import Callable, Dict, List, Sequence

from gpuctl.host.look.reading import Host, Reading, grpc_source, http_source
from gpuctl.host.record.snapshot import key


def remembering(host: Host) -> RememberingHost:
    """Returns a host that remembers what this one says: itself, where it does so."""
    return host if isinstance(host, RememberingHost) else RememberingHost(host)


class RememberingHost:
    """Hands each look on to another host once, and keeps the answer in `readings`, by the keys of a snapshot.

    Threads that ask for the same thing at once share one look: the deadline is that of the one who came first.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._turns: Dict[str, threading.Lock] = {}
        self.readings: Dict[str, Reading] = {}

    def _once(self, kind: str, source: str, look: Callable[[], Reading]) -> Reading:
        name = key(kind, source)
        with self._turns.setdefault(name, threading.Lock()):  # setdefault is atomic: all get the same lock
            if name not in self.readings:
                self.readings.setdefault(name, look())  # whoever came first counts: `read_all` takes other turns
            return self.readings[name]

    def read(self, path: str) -> Reading:
        return self._once("read", path, lambda: self._host.read(path))

    def read_all(self, paths: Sequence[str]) -> List[Reading]:
        with self._turns.setdefault("", threading.Lock()):
            new = [path for path in paths if key("read", path) not in self.readings]
            for reading in self._host.read_all(new) if new else ():
                self.readings.setdefault(key("read", reading.source), reading)
        return [self.readings[key("read", path)] for path in paths]

    def list(self, path: str) -> Reading:
        return self._once("list", path, lambda: self._host.list(path))

    def link(self, path: str) -> Reading:
        return self._once("link", path, lambda: self._host.link(path))

    def stat(self, path: str) -> Reading:
        return self._once("stat", path, lambda: self._host.stat(path))

    def which(self, name: str) -> Reading:
        return self._once("which", name, lambda: self._host.which(name))

    def run(self, argv: Sequence[str], deadline: float = 5.0) -> Reading:
        return self._once("run", shlex.join(argv), lambda: self._host.run(argv, deadline))

    def get(self, endpoint: str, path: str, deadline: float = 5.0) -> Reading:
        return self._once("get", http_source(endpoint, path), lambda: self._host.get(endpoint, path, deadline))

    def call(
        self, endpoint: str, method: str, message: str = "", namespace: str = "", deadline: float = 5.0
    ) -> Reading:
        source = grpc_source(endpoint, method, namespace)
        return self._once("call", source, lambda: self._host.call(endpoint, method, message, namespace, deadline))

    def peer(self, endpoint: str) -> Reading:
        return self._once("peer", "peer of " + endpoint, lambda: self._host.peer(endpoint))

    def nvml(self, deadline: float = 8.0) -> Reading:
        return self._once("nvml", "NVML", lambda: self._host.nvml(deadline))

    def env(self, name: str) -> Reading:
        return self._once("env", "$" + name, lambda: self._host.env(name))
