"""What the person asked of `gpuctl smoke`, what will be run for it, and how it ended."""

from __future__ import annotations

from gpuctl.frozen import dataclass
from gpuctl.model import Remedy
from gpuctl.smoke.client import Client
from gpuctl.smoke.compare import Expected, SeenByContainer
from gpuctl.smoke.container import ContainerSpec
from gpuctl.smoke.deep import Deep
from gpuctl.smoke.request import ALL, GpuRequest


@dataclass(frozen=True)
class SmokeWish:
    """What the person asked for. `timeout` and `pull_timeout` in seconds; `deep`: test CUDA, too.

    `engine` is its name in ENGINES, None for the one that is here.
    """

    gpus: GpuRequest = ALL
    image: str | None = None
    runtime: str | None = None
    timeout: float = 60.0
    pull_timeout: float = 900.0
    dry_run: bool = False
    deep: bool = False
    engine: str | None = None


@dataclass(frozen=True)
class SmokePlan:
    """The container to run, by which engine (as people write it) and version, and what it must see.

    Docker is asked at its `endpoint`, another engine by its `client`.
    """

    title: str
    version: str
    spec: ContainerSpec
    expected: Expected
    endpoint: str = ""
    client: Client | None = None


@dataclass(frozen=True)
class OnHost:
    """The program to run on the host itself, its words, and what it must see."""

    argv: tuple[str, ...]
    expected: Expected


@dataclass(frozen=True)
class SmokeResult:
    """How it ended. `passed` is None when it could not be told, or was not tried (dry run).

    `plan` is None where the host is not ready for any, and where the test is one `on_host`. `error` is in the words of
    Docker or of the container. `deep` is what CUDA told, where it was asked.
    """

    passed: bool | None = None
    plan: SmokePlan | None = None
    dry_run: bool = False
    pulled: bool = False
    seen: SeenByContainer | None = None
    cause: str | None = None
    remedy: Remedy | None = None
    error: str | None = None
    seconds: float = 0.0
    on_host: OnHost | None = None
    deep: Deep | None = None

    def __post_init__(self) -> None:
        """Takes the secrets out of what was said, by Docker or by a container."""
        if self.error or self.cause:
            from gpuctl.host.record.redact import without_secrets

            object.__setattr__(self, "error", self.error and without_secrets(self.error))
            object.__setattr__(self, "cause", self.cause and without_secrets(self.cause))

    @property
    def expected(self) -> Expected | None:
        """What must be seen, None where that is not known."""
        where = self.plan or self.on_host
        return where.expected if where else None


class NoPlan(Exception):
    """There is no container to run on this host: `result` says why."""

    def __init__(self, passed: bool | None, cause: str, remedy: Remedy | None) -> None:
        super().__init__(cause)
        self.result = SmokeResult(passed=passed, cause=cause, remedy=remedy)
