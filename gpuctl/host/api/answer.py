"""What a cluster's API answers to a GET, whichever way it was asked."""

from __future__ import annotations

from typing import Callable

from gpuctl.frozen import dataclass

NO_ANSWER = 0
OK, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, GONE, TOO_MANY = 200, 401, 403, 404, 410, 429


class ApiProblem(Exception):
    """A cluster cannot be asked; the message is a sentence."""


class BadConfiguration(ApiProblem):
    """What says which cluster is meant, and who asks, is wrong: the context, the kubeconfig."""


@dataclass(frozen=True)
class ApiAnswer:
    """An answer. `code` is its HTTP status, NO_ANSWER where none came, or not the whole: `detail` says why then.

    `wait`: after how many seconds it wants to be asked again.
    """

    code: int
    body: bytes = b""
    wait: float = 0.0
    detail: str = ""


Ask = Callable[[str], ApiAnswer]
"""A GET of a path with its query. Raises ApiProblem where no path can be asked for."""
