"""The test bed's fixtures. simhost/ says what they give."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from package_root import PackageRoot
from repositories import Repositories, built_repositories
from simhost import Bed, Dockerd, SimHost, Toolkit, build, import_image

os.environ.pop("COLUMNS", None)
os.unsetenv("COLUMNS")  # readline sets it past os.environ when pytest loads it: text in a pipe has no width
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", settings.get_profile("busy"), max_examples=25)
settings.load_profile("busy")  # no test fails because the machine is busy
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup has all programs below it ignore, and tests send
signal.signal(signal.SIGINT, signal.default_int_handler)  # and this one a shell, of what it begins in the background


def _public_directory(stack: ExitStack) -> Path:
    # pytest's own temporary directories are closed to other users, whose part some tests play.
    directory = Path(tempfile.mkdtemp(prefix="simbed-"))
    directory.chmod(0o755)
    stack.callback(shutil.rmtree, directory)
    return directory


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """The simulated driver's files, built once."""
    with ExitStack() as stack:
        yield build(_public_directory(stack))


@pytest.fixture
def sim_host(bed: Bed) -> Iterator[Callable[..., SimHost]]:
    """`sim_host("v100", **what_differs)` makes a simulated host: see SimHost."""
    with ExitStack() as stack:

        def make(*args: Any, **options: Any) -> SimHost:
            host = SimHost(bed, *args, **options)
            stack.callback(host.close)
            return host

        yield make


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with gpuctl.pyz and gpuctl-collect.pyz, as the documented command makes them, once for all workers."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "built"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            made = tmp_path_factory.mktemp("built")
            build_py = Path(__file__).parents[1] / "pyz" / "build.py"
            subprocess.run([sys.executable, build_py, made], check=True, capture_output=True)
            made.rename(folder)
    return folder


@pytest.fixture
def toolkit(bed: Bed) -> Iterator[Toolkit]:
    """The NVIDIA Container Toolkit, not yet installed: `toolkit.install("v100")`."""
    with ExitStack() as stack:
        yield Toolkit(bed, _public_directory(stack))


@pytest.fixture(scope="session")
def repositories() -> Iterator[Repositories]:
    """Signed package repositories of stand-ins for the toolkit."""
    with built_repositories() as built:
        yield built


@pytest.fixture
def new_root(repositories: Repositories) -> Iterator[Callable[..., PackageRoot]]:
    """`new_root(os_release=…)` makes a root in which package managers work: see PackageRoot."""
    with ExitStack() as stack:

        def make(**options: Any) -> PackageRoot:
            root = PackageRoot(repositories.place, **options)
            stack.callback(root.close)
            return root

        yield make


@pytest.fixture
def new_dockerd() -> Iterator[Callable[..., Dockerd]]:
    """`new_dockerd(config=…, path=…)` starts a dockerd of the test's own: see Dockerd."""
    with ExitStack() as stack:

        def make(**options: Any) -> Dockerd:
            daemon = Dockerd(**options)
            stack.callback(daemon.close)
            daemon.start()
            return daemon

        yield make


@pytest.fixture(scope="session")
def dockerd(bed: Bed) -> Iterator[Dockerd]:
    """One dockerd for all tests that change nothing in it: a V100's toolkit, `nvidia` registered, an image imported."""
    with ExitStack() as stack:
        toolkit = Toolkit(bed, _public_directory(stack))
        toolkit.install("v100")
        config = f'{{"runtimes": {{"nvidia": {{"path": "{toolkit.runtime}"}}}}}}\n'
        daemon = Dockerd(config=config, path=[toolkit.directory])
        stack.callback(daemon.close)
        daemon.start()
        import_image(daemon)
        yield daemon


NEEDS_ROOT = ("installing", "package_root", "realhost", "registry", "repositories", "simhost.containerd", "slurm_bed")
"""Modules of the tests that start daemons, mount or build file systems."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as `bench` what needs root, the compiled driver, or a daemon: `tests/run --fast` leaves it out."""
    for item in items:
        if isinstance(item, pytest.Function) and (_is_at_the_bench(item) or _imports_a_bench(item.module)):
            item.add_marker("bench")


def _is_at_the_bench(item: pytest.Function) -> bool:
    return not {"bed", "new_dockerd"}.isdisjoint(item.fixturenames)


@cache
def _imports_a_bench(module: ModuleType) -> bool:
    homes = {getattr(value, "__module__", None) for value in vars(module).values()}
    return not homes.isdisjoint(NEEDS_ROOT)
