"""A machine seen through its recorded readings."""

from __future__ import annotations

import shlex
from typing import List, Mapping, Sequence

from gpuctl.host.look.reading import Outcome, Reading, grpc_source, http_source

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

    def read_all(self, paths: Sequence[str]) -> List[Reading]:
        return [self.read(path) for path in paths]

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
        return self._recorded("get", http_source(endpoint, path))

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


def key(kind: str, source: str) -> str:
    """The name under which a reading is kept: the kind of look and what was looked at."""
    return "%s:%s" % (kind, source)
