"""Which cluster is meant and who asks: by the user's kubeconfig, or in a pod by its service account.

The official client reads them. What it leaves undone is done here: programs for credentials get a deadline and no
terminal, a user who acts as another does, and a token may end in a new line. Nothing of a kubeconfig is written anew.
"""

from __future__ import annotations

import os
import time
from base64 import urlsafe_b64decode
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple
from urllib.parse import quote

from gpuctl.frozen import dataclass
from gpuctl.host.api.answer import ApiProblem, BadConfiguration
from gpuctl.host.api.credentials import credentials
from gpuctl.host.decode import number_in, object_in, parse_object, text_in, texts_in
from gpuctl.host.look.reading import said_line
from gpuctl.host.trust import Distrusted, check

IN_POD = "KUBERNETES_SERVICE_HOST"
NONE = (
    "there is no kubeconfig (KUBECONFIG, or ~/.kube/config), and this is no pod of a cluster; "
    "--from FILE reads what was recorded elsewhere."
)


@dataclass(frozen=True)
class Access:
    """How the API is asked: the official client's Configuration, and the headers of each request, (name, value)."""

    configuration: Any
    headers: Tuple[Tuple[str, str], ...]


def kubeconfigs(named: Optional[str] = None) -> List[str]:
    """Returns the kubeconfigs that are there; `named`: that one instead of the user's, and no other.

    Raises BadConfiguration where one is somebody's whom root trusts not: it names programs that are run for
    credentials.
    """
    places = [named] if named else (os.environ.get("KUBECONFIG") or "~/.kube/config").split(os.pathsep)
    files = [one for one in map(os.path.expanduser, places) if one and os.path.exists(one)]
    if named and not files:
        raise BadConfiguration("there is no kubeconfig %s." % named)
    try:
        for one in files:
            check(one)
    except (Distrusted, OSError) as error:
        raise BadConfiguration("the kubeconfig is not gone by: %s." % error) from None
    return files


def access(context: Optional[str]) -> Access:
    """Returns how the cluster of a context is asked, None: of the current one. Raises ApiProblem.

    It may take as long as a program for credentials does.
    """
    from kubernetes.client.configuration import Configuration
    from kubernetes.config.config_exception import ConfigException
    from yaml import YAMLError

    # The client takes the types of what is written there on trust.
    wrong = (ConfigException, YAMLError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
    configuration = Configuration()
    files = kubeconfigs()
    user: Mapping[str, Any] = {}
    try:
        if files:
            user = _load(configuration, os.pathsep.join(files), context)
        elif IN_POD in os.environ and context is None:
            _load_in_pod(configuration)
        else:
            raise BadConfiguration(NONE)
        return Access(configuration, (*_authorization(configuration), *_impersonation(user)))
    except ApiProblem:
        raise
    except OSError as error:
        raise BadConfiguration("%s: %s." % (error.filename or "the kubeconfig", error.strerror)) from None
    except wrong as error:
        words = said_line(str(error), 0) or type(error).__name__
        raise BadConfiguration("the kubeconfig (%s) is not understood: %.300s." % (", ".join(files), words)) from None


def _load(configuration: Any, files: str, context: Optional[str]) -> Mapping[str, Any]:
    """Has the client load it, and returns what the context's user is, {} where it has none."""
    from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

    merged = KubeConfigMerger(files).config
    name = context if context is not None else merged.safe_get("current-context")
    if not name:
        raise BadConfiguration("the kubeconfig has no current context: name one with --context.")
    known = [one["name"] for one in merged["contexts"].value] if merged.safe_get("contexts") else []
    if name not in known:
        raise BadConfiguration("the kubeconfig has no context %.80r, but %s." % (name, _listed(known)))
    chosen = merged["contexts"].get_with_name(name)["context"].value
    cluster = _member(merged, "clusters", chosen, "cluster", name)
    _check_address("server", cluster.value.get("server"))
    if cluster.value.get("proxy-url"):
        _check_address("proxy-url", cluster.value["proxy-url"])
    user = _member(merged, "users", chosen, "user", name) if chosen.get("user") else None
    if user:
        _prepare(user.value, cluster.value, os.path.dirname(os.path.abspath(user.path)))
    KubeConfigLoader(merged, context, config_base_path=None).load_and_set(configuration)
    return user.value if user else {}


def _check_address(name: str, address: Any) -> None:
    if not isinstance(address, str) or not address.startswith(("https://", "http://")):
        raise BadConfiguration(
            "the kubeconfig's %s %.80r is no address that begins with https:// or http://." % (name, address)
        )


def _member(merged: Any, kinds: str, chosen: Mapping[str, Any], kind: str, context: str) -> Any:
    """The cluster or the user that a context names, as a node of the client's that knows its file."""
    name = chosen.get(kind)
    found = merged[kinds].get_with_name(name, safe=True) if merged.safe_get(kinds) else None
    if found is None:
        raise BadConfiguration(
            "the kubeconfig's context %.80s names the %s %.80s, which it has not." % (context, kind, name)
        )
    return found[kind]


def _listed(names: List[str]) -> str:
    return ", ".join(names[:5]) + (" and %d more" % (len(names) - 5) if len(names) > 5 else "") if names else "none"


def _prepare(user: Dict[str, Any], cluster: Mapping[str, Any], folder: str) -> None:
    """Does for a user what the client does not do, or not as it should."""
    if "exec" in user:
        user.update(credentials(object_in({"exec": user.pop("exec")}, "exec"), cluster, folder))
    provider = object_in(user, "auth-provider")
    if provider and provider.get("name") != "oidc":
        words = "the kubeconfig's auth-provider %.40s is gone from Kubernetes since 1.26: exec does that now."
        raise BadConfiguration(words % provider.get("name"))
    if provider:
        user.pop("auth-provider")  # the client would renew its token, and keep what it is given nowhere
        user["token"] = text_in(object_in(provider, "config"), "id-token") or ""
        if _has_expired(user["token"]):
            words = "the token of the kubeconfig's auth-provider oidc has expired: any kubectl command renews it."
            raise ApiProblem(words)


def _has_expired(token: str) -> bool:
    """Whether a JWT says so itself (RFC 7519, 4.1.4); of one that is none the API says what is wrong."""
    part = (*token.split("."), "", "")[1]
    try:
        expires = number_in(parse_object(urlsafe_b64decode(part + "=" * (-len(part) % 4))), "exp")
    except ValueError:
        return False
    return expires is not None and expires < time.time()


def _load_in_pod(configuration: Any) -> None:
    from kubernetes.config.incluster_config import load_incluster_config

    load_incluster_config(configuration, try_refresh_token=False)


def _authorization(configuration: Any) -> Iterator[Tuple[str, str]]:
    token = configuration.api_key.get("BearerToken", "").strip()
    if token:
        yield "Authorization", token


def _impersonation(user: Mapping[str, Any]) -> Iterator[Tuple[str, str]]:
    """Yields the headers of one who acts as another.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
    """
    for name, header in (("as", "Impersonate-User"), ("as-uid", "Impersonate-Uid")):
        value = text_in(user, name)
        if value:
            yield header, value
    for group in texts_in(user, "as-groups"):
        yield "Impersonate-Group", group
    extra = object_in(user, "as-user-extra")
    for key in extra:
        for value in texts_in(extra, key):
            yield "Impersonate-Extra-" + quote(key, safe=""), value
