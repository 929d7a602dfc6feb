"""Credentials that a program of the user's gives (exec plugins): under a deadline, and without a terminal.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import json
import os
import shlex
from base64 import b64encode
from typing import Any, Dict, List, Mapping

from gpuctl.host.api.answer import ApiProblem, BadConfiguration
from gpuctl.host.decode import object_in, objects_in, parse_object, text_in, texts_in
from gpuctl.host.look.local import LocalHost, child_environment
from gpuctl.host.look.programs import run_program
from gpuctl.host.look.reading import failure, said_line

DEADLINE = 30.0
"""Seconds; those of the clouds take two or three."""
_GROUP = "client.authentication.k8s.io/"
_VERSIONS = (_GROUP + "v1", _GROUP + "v1beta1")
_EXTENSION = _GROUP + "exec"


def credentials(
    plugin: Mapping[str, Any], cluster: Mapping[str, Any], folder: str, deadline: float = DEADLINE
) -> Dict[str, str]:
    """Returns what a kubeconfig's user has in the place of `exec`: a token, or a client certificate and its key.

    `folder` is that of the kubeconfig, from which a command with a slash is meant; the program has `deadline` seconds.
    Raises ApiProblem, ValueError.

    {"apiVersion": "client.authentication.k8s.io/v1", "command": "aws", "args": ["eks", "get-token"]}
    """
    version, command = text_in(plugin, "apiVersion") or "", text_in(plugin, "command") or ""
    if version not in _VERSIONS:
        raise BadConfiguration("the kubeconfig's exec has the apiVersion %r: v1 and v1beta1 are known." % version[:80])
    if text_in(plugin, "interactiveMode") == "Always":
        raise ApiProblem("%s, the program for credentials, wants a terminal, which gpuctl gives it not." % command)
    name = os.path.join(folder, command) if "/" in command else command
    program = LocalHost().which(name)
    if not program.ok:
        hint = said_line(text_in(plugin, "installHint") or "", 0)
        raise ApiProblem(
            "%s, the program for credentials: %s.%s" % (command, program.detail, " %s" % hint if hint else "")
        )
    argv = [program.text, *texts_in(plugin, "args")]
    reading = run_program(shlex.join(argv), argv, _environment(plugin, version, cluster), deadline)
    if not reading.ok:
        raise ApiProblem("%s, the program for credentials, gave none: %s." % (command, failure(reading)))
    try:
        return _given(parse_object(reading.text), version)
    except ValueError as error:
        raise ApiProblem("%s, the program for credentials, gave none: %s." % (command, error)) from None


def _environment(plugin: Mapping[str, Any], version: str, cluster: Mapping[str, Any]) -> Dict[str, str]:
    """The program's environment, with what it is told of the cluster where it asks for that."""
    spec: Dict[str, Any] = {"interactive": False}
    if plugin.get("provideClusterInfo") is True:
        extensions = objects_in(cluster, "extensions")
        config: List[Any] = [one.get("extension") for one in extensions if one.get("name") == _EXTENSION]
        told = {name: value for name, value in cluster.items() if name != "extensions"}
        spec["cluster"] = {**told, **({"config": config[0]} if config else {})}
    info = {"apiVersion": version, "kind": "ExecCredential", "spec": spec}
    given = {text_in(one, "name") or "": text_in(one, "value") or "" for one in objects_in(plugin, "env")}
    return {**child_environment(), **given, "KUBERNETES_EXEC_INFO": json.dumps(info)}


def _given(found: Mapping[str, Any], version: str) -> Dict[str, str]:
    """What an ExecCredential gives. Raises ValueError.

    {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "…"}}
    """
    if text_in(found, "kind") != "ExecCredential":
        raise ValueError("it printed no ExecCredential")
    if text_in(found, "apiVersion") != version:
        raise ValueError("it printed %.60s and not %s" % (text_in(found, "apiVersion"), version))
    status = object_in(found, "status")
    token, certificate = text_in(status, "token"), text_in(status, "clientCertificateData")
    key = text_in(status, "clientKeyData")
    if not token and not (certificate and key):
        raise ValueError("there is neither a token nor a client certificate in it")
    pair = {"client-certificate-data": certificate, "client-key-data": key}
    given = {name: b64encode(text.encode()).decode() for name, text in pair.items() if text}
    return {**given, **({"token": token} if token else {})}
