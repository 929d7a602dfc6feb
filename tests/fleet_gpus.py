"""Hosts of tests/fleet_hosts.py with simulated GPUs: each a host of its own, with a machine id and GPUs of its own."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from fleet_hosts import KEYS, Hosts, hosts
from simhost import Bed, SimHost, Toolkit

ROOT = Path(__file__).parents[1]
GPUCTL = f"""\
#!/bin/sh
if [ "$1" = smoke ]; then cat /run/smoke; [ ! -s /run/smoke ]; exit; fi
PYTHONPATH={ROOT} exec {sys.executable} -m gpuctl "$@"
"""
"""The one of the checkout, but for `gpuctl smoke`, which has a word of its own: no container sees a simulated GPU."""
BLIND = '{"schema": "gpuctl.smoke/1", "passed": false, "cause": "The container saw no GPU."}'
"""That word, where it fails; it is empty where it passes."""
OTHER_ENGINES = ("containerd", "crio", "docker", "dockerd", "rootlesskit")
"""What this machine may have of them is not on a host: podman, which needs no daemon, is its engine."""
PROCESSES = 10_000
"""So many processes and threads are begun on a host at most."""
SSHD = (
    *("/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", "/etc/ssh/of_test_key", "-o", "PidFile=none"),
    *("-o", "UsePAM=no", "-o", "UseDNS=no", "-o", "PasswordAuthentication=no", "-o", "PermitRootLogin=yes"),
    *("-o", "Subsystem=sftp /usr/lib/openssh/sftp-server", "-o", "PrintMotd=no", "-o", f"KexAlgorithms={KEYS}"),
)


@contextmanager
def gpu_hosts(folder: Path, bed: Bed, toolkit: Toolkit, drivers: Mapping[str, str]) -> Iterator[Hosts]:
    """Gives hosts by name, each with an H200, the NVIDIA Container Toolkit, Podman and this driver."""
    with ExitStack() as stack:
        scripts = {}
        for number, (name, driver) in enumerate(drivers.items(), 1):
            host = _host(bed, toolkit, name, driver, number)
            stack.callback(host.close)
            scripts[name] = f"exec {shlex.join(host.launch(SSHD, later=PROCESSES))}"
        yield stack.enter_context(hosts(folder, scripts))


def _host(bed: Bed, toolkit: Toolkit, name: str, driver: str, number: int) -> SimHost:
    h200 = replace(bed.profiles["h200"], driver=driver, module=driver)
    settings = f"GPUSIM_PROFILE=h200\nGPUSIM_DRIVER={driver}\nGPUSIM_HOST={number:04x}\n"
    own = {"/etc/gpusim-profile": settings, "/etc/machine-id": f"{number:032x}\n", "/etc/hostname": f"{name}\n"}
    called = {one.name: f'#!/bin/sh\nexec {one} "$@"\n' for one in toolkit.directory.glob("nvidia-*")}
    return SimHost(
        replace(bed, profiles={**bed.profiles, "h200": h200}),
        "h200",
        files={**own, "/run/sshd/.keep": "", "/run/smoke": ""},
        absent=[f"/usr/{folder}/{one}" for folder in ("bin", "sbin") for one in OTHER_ENGINES],
        commands={"gpuctl": GPUCTL, **called},
    )
