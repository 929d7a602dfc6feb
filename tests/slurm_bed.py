"""A Slurm cluster of the test's own: munged, slurmctld and one slurmd, on free ports of the loopback interface."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from simhost.process import Done, run, until

NODE = "gpu1"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Slurm:
    """A running cluster; `conf` is its slurm.conf. Nodes are described by `state` and `reason`."""

    def __init__(self, folder: Path, programs: str = "") -> None:
        self.folder, self.conf = folder, folder / "slurm.conf"
        self.env = {"PATH": _PATH, "SLURM_CONF": str(self.conf)}
        self.ports = _free_ports(2)
        self.conf.write_text(self.configuration(programs, NODE))
        (folder / "cgroup.conf").write_text(
            "IgnoreSystemd=yes\n"
        )  # where cgroups are of version 2 and nobody is at D-Bus

    def configuration(self, programs: str, *nodes: str) -> str:
        """Returns a slurm.conf of these nodes, all on this host; `programs` are further lines."""
        host, place = socket.gethostname().partition(".")[0], self.folder
        settings = {
            "ClusterName": "tests",
            "SlurmctldHost": f"{host}(127.0.0.1)",
            "SlurmctldPort": self.ports[0],
            "SlurmUser": "root",
            "SlurmdUser": "root",
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={place}/munge.sock",
            "CredType": "cred/munge",
            "StateSaveLocation": f"{place}/state",
            "SlurmdSpoolDir": f"{place}/spool-%n",
            "SlurmctldPidFile": f"{place}/slurmctld.pid",
            "SlurmdPidFile": f"{place}/slurmd-%n.pid",
            "ProctrackType": "proctrack/pgid",
            "TaskPlugin": "task/none",
            "SwitchType": "switch/none",
            "MpiDefault": "none",
            "JobAcctGatherType": "jobacct_gather/none",
            "ReturnToService": 0,
            "SchedulerParameters": "batch_sched_delay=0,sched_min_interval=0",
            "SlurmdParameters": "config_overrides",
        }
        lines = [*(f"{name}={value}" for name, value in settings.items()), *programs.splitlines()]
        at = f"NodeHostName={host} NodeAddr=127.0.0.1 Port={self.ports[1]} CPUs=1 State=UNKNOWN"
        lines += [f"NodeName={node} {at}" for node in nodes]
        return "\n".join([*lines, "PartitionName=all Nodes=ALL Default=YES State=UP"]) + "\n"

    def run(self, *argv: str) -> Done:
        """Returns how a command of Slurm's ended."""
        return run(argv, self.env, timeout=300)

    def update(self, *words: str) -> None:
        """Has the node changed by somebody else than gpuctl."""
        done = self.run("scontrol", "update", f"NodeName={NODE}", *words)
        assert done.code == 0, done.err

    def shown(self, key: str) -> str:
        """Returns what scontrol shows of the node for State or Reason, "" for nothing."""
        line = self.run("scontrol", "-o", "show", "node", NODE).out
        found = line.partition(f" {key}=")[2]
        return found.strip() if key == "Reason" else found.partition(" ")[0]

    @property
    def state(self) -> str:
        """Without that the node has yet to answer again, which Slurm says for a while of one that comes back."""
        return self.shown("State").replace("+NOT_RESPONDING", "")

    @property
    def reason(self) -> str:
        """With who set it, and when."""
        return self.shown("Reason")

    def reset(self) -> None:
        """Makes the node one that nobody has drained."""
        if self.state != "IDLE":
            self.run("scontrol", "update", f"NodeName={NODE}", "State=RESUME")
        assert until(lambda: self.shown("State") == "IDLE"), self.state


@contextmanager
def slurm(programs: str = "") -> Iterator[Slurm]:
    """Gives a cluster whose node is idle, and ends it; `programs` are further lines of its configuration."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        (folder / "state").mkdir()
        (folder / "key").write_bytes(os.urandom(1024))
        (folder / "key").chmod(0o400)
        cluster = Slurm(folder, programs)
        places = {
            "key-file": "key",
            "socket": "munge.sock",
            "pid-file": "m.pid",
            "log-file": "m.log",
            "seed-file": "m.seed",
        }
        _start(stack, cluster, "munged", "-F", "--force", *(f"--{key}={folder}/{name}" for key, name in places.items()))
        assert until((folder / "munge.sock").exists)
        _start(stack, cluster, "slurmctld", "-D", "-c", "-f", str(cluster.conf))
        assert until(lambda: cluster.run("scontrol", "ping").code == 0)
        _start(stack, cluster, "slurmd", "-D", "-N", NODE, "-f", str(cluster.conf))
        assert until(lambda: cluster.state.startswith("IDLE")), (folder / "slurmd.out").read_text()
        yield cluster


def _start(stack: ExitStack, cluster: Slurm, *argv: str) -> None:
    said = stack.enter_context((cluster.folder / f"{argv[0]}.out").open("wb"))
    process = subprocess.Popen(argv, env=cluster.env, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    stack.callback(process.wait)
    stack.callback(process.terminate)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
