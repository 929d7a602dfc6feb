"""Which way of taking hosts out of service was asked for."""

from __future__ import annotations

from gpuctl.fleet.drain.drain import Drain
from gpuctl.fleet.drain.wish import KUBERNETES, SLURM, DrainWish


def drain_by(wish: DrainWish, run: str, begun: str, finding: str, deadline: float) -> Drain:
    """Returns the way that was asked for. `run` names the run, and `finding` what it is about, to whoever looks.

    `begun`: when it was, which tells it from others of its name. `deadline` in seconds, for a person's own command.
    """
    from gpuctl.fleet.drain.commands import CommandDrain
    from gpuctl.fleet.drain.kubernetes import KubernetesDrain
    from gpuctl.fleet.drain.slurm import SlurmDrain
    from gpuctl.host.api.kubectl import Kubectl

    if wish.scheduler == SLURM:
        return SlurmDrain(run, begun, finding)
    if wish.scheduler == KUBERNETES:
        return KubernetesDrain(f"{run} (begun {begun})", Kubectl(wish.context, wish.kubeconfig))
    return CommandDrain(wish.before, wish.after, deadline)
