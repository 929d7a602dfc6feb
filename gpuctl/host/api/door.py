"""By which way a cluster is asked: by the official client where it is installed, else by the user's kubectl.

Both go by the same kubeconfig. Where nothing can be installed, and in the single file, which has no place for compiled
code, there is no client; kubectl starts anew for each page, which takes three times as long.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Optional

from gpuctl.host.api.answer import ApiProblem, Ask
from gpuctl.host.look.local import LocalHost

NEITHER = (
    "asking a cluster takes kubectl on PATH, or the extra gpuctl-host[k8s]: "
    "pipx install --force '.[k8s]' in a checkout; --from FILE reads what was recorded elsewhere."
)


def open_api(context: Optional[str]) -> Ask:
    """Returns what asks the cluster of a context of the user's kubeconfig, None: of the current one.

    Raises ApiProblem, BadConfiguration among them.
    """
    if find_spec("kubernetes"):
        from gpuctl.host.api.client import client

        return client(context)
    if LocalHost().which("kubectl").ok:
        from gpuctl.host.api.kubectl import kubectl

        return kubectl(context)
    raise ApiProblem(NEITHER)
