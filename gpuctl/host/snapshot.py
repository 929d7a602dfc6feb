"""A machine seen through its recorded readings, and the recorder that makes them."""

from __future__ import annotations

import shlex
from typing import Dict, Mapping, Sequence

from gpuctl.host.reading import Host, Outcome, Reading, grpc_source

NOT_RECORDED = "not in the snapshot"
"""The detail of every look that a snapshot has no reading of."""


class SnapshotHost:
    """Answers every look from readings by key; what was not recorded could not be looked at, or was `unrecorded`."""

    def __init__(self, readings: Mapping[str, Reading], unrecorded: Outcome = Outcome.ERROR) -> None:
        self.readings = readings
        self._unrecorded = unrecorded

    def _recorded(self, kind: str, source: str) -> Reading:
        missing = Reading(source, self._unrecorded, detail=NOT_RECORDED)
        return self.readings.get(key(kind, source), missing)

    def read(self, path: str) -> Reading:
        return self._recorded("read", path)

    def list(self, path: str) -> Reading:
        return self._recorded("list", path)

    def link(self, path: str) -> Reading:
        return self._recorded("link", path)

    def stat(self, path: str) -> Reading:
        return self._recorded("stat", path)

    def which(self, name: str) -> Reading:
        return self._recorded("which", name)

    def run(self, argv: Sequence[str], deadline: float = 5.0) -> Reading:
        return self._recorded("run", shlex.join(argv))

    def get(self, endpoint: str, path: str, deadline: float = 5.0) -> Reading:
        return self._recorded("get", "GET %s (%s)" % (path, endpoint))

    def call(
        self, endpoint: str, method: str, message: str = "", namespace: str = "", deadline: float = 5.0
    ) -> Reading:
        return self._recorded("call", grpc_source(endpoint, method, namespace))

    def peer(self, endpoint: str) -> Reading:
        return self._recorded("peer", "peer of " + endpoint)

    def nvml(self, deadline: float = 8.0) -> Reading:
        return self._recorded("nvml", "NVML")

    def env(self, name: str) -> Reading:
        return self._recorded("env", "$" + name)


class RecordingHost:
    """Hands every look on to another host and keeps the answer in `readings`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.readings: Dict[str, Reading] = {}

    def _keep(self, kind: str, reading: Reading) -> Reading:
        self.readings[key(kind, reading.source)] = reading
        return reading

    def read(self, path: str) -> Reading:
        return self._keep("read", self._host.read(path))

    def list(self, path: str) -> Reading:
        return self._keep("list", self._host.list(path))

    def link(self, path: str) -> Reading:
        return self._keep("link", self._host.link(path))

    def stat(self, path: str) -> Reading:
        return self._keep("stat", self._host.stat(path))

    def which(self, name: str) -> Reading:
        return self._keep("which", self._host.which(name))

    def run(self, argv: Sequence[str], deadline: float = 5.0) -> Reading:
        return self._keep("run", self._host.run(argv, deadline))

    def get(self, endpoint: str, path: str, deadline: float = 5.0) -> Reading:
        return self._keep("get", self._host.get(endpoint, path, deadline))

    def call(
        self, endpoint: str, method: str, message: str = "", namespace: str = "", deadline: float = 5.0
    ) -> Reading:
        return self._keep("call", self._host.call(endpoint, method, message, namespace, deadline))

    def peer(self, endpoint: str) -> Reading:
        return self._keep("peer", self._host.peer(endpoint))

    def nvml(self, deadline: float = 8.0) -> Reading:
        return self._keep("nvml", self._host.nvml(deadline))

    def env(self, name: str) -> Reading:
        return self._keep("env", self._host.env(name))


def key(kind: str, source: str) -> str:
    """The name under which a reading is kept: the kind of look and what was looked at."""
    return "%s:%s" % (kind, source)
