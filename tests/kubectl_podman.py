"""A kubectl for tests, and behind it a cluster of one node: its lists are recorded, its pods are run by a real Podman.

It reads the folder in the variable CLUSTER: world.json (lists by kind), play.json (what goes wrong here: see PLAYS).
What a pod becomes stands in NAME.pod.json there, what it printed in NAME.log, and who was deleted in `removed`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

FOLDER = Path(os.environ["CLUSTER"])
KINDS = {
    "nodes": "Node",
    "pods": "Pod",
    "events": "Event",
    "resourcequotas": "ResourceQuota",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "daemonsets": "DaemonSet",
    "runtimeclasses": "RuntimeClass",
    "deviceclasses": "DeviceClass",
    "resourceslices": "ResourceSlice",
    "resourceclaims": "ResourceClaim",
    "jobs": "Job",
}
PLAYS = ("gives", "assigned", "tells", "driver", "refuses", "waits", "unplaced", "cuts")
"""gives: the GPUs that a container gets, by index; assigned: the UUID that the plugin chose; tells: by CDI, whose
specification takes the variable away, so that the API alone has it; driver: its libraries as the toolkit brings them,
by their places in the container, and what they go by; refuses: the API's words; waits: the container's state; unplaced:
the scheduler's words; cuts: after how many letters a log ends.
"""


def play() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "play.json").read_text())
    assert set(found) <= set(PLAYS)
    return found


def pods() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.pod.json"))]


def write(pod: dict[str, Any]) -> None:
    path = FOLDER / f"{pod['metadata']['name']}.pod.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(pod))
    part.rename(path)


def get(path: str) -> str:
    parts = urlsplit(path)
    words = parts.path.strip("/").split("/")
    if words[-1] == "log":
        return (FOLDER / f"{words[-2]}.log").read_text()
    plural = words[-1]
    if plural == "version":
        return json.dumps({"major": "1", "minor": "36", "gitVersion": "v1.36.0"})
    if plural not in KINDS:
        sys.exit("Error from server (NotFound): the server could not find the requested resource")
    kind = KINDS[plural]
    world = json.loads((FOLDER / "world.json").read_text())
    items = world.get(kind, []) + (pods() if plural == "pods" else [])
    wanted = parse_qs(parts.query).get("labelSelector", [""])[0]
    if wanted:
        key, _, value = wanted.partition("=")
        items = [one for one in items if one["metadata"].get("labels", {}).get(key) == value]
    return json.dumps({"kind": f"{kind}List", "items": items, "metadata": {}})


def create(text: str) -> None:
    pod, played = json.loads(text), play()
    if "refuses" in played:
        sys.exit(f'Error from server (Forbidden): error when creating "STDIN": {played["refuses"]}')
    name = pod["metadata"]["name"]
    print(f"pod/{name}")
    if "unplaced" in played:
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": played["unplaced"],
        }
        write(pod | {"status": {"phase": "Pending", "conditions": [condition]}})
        return
    if "nodeName" not in pod["spec"]:
        term = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        pod["spec"]["nodeName"] = term["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]
    if "waits" in played:
        container = {"name": "any", "state": {"waiting": played["waits"]}}
        write(pod | {"status": {"phase": "Pending", "containerStatuses": [container]}})
        return
    write(pod | {"status": {"phase": "Pending"}})
    run = run_privileged if pod["spec"].get("hostPID") else run_with_devices
    if os.fork() == 0:
        for number in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        os.setsid()
        run(pod, played)
        os._exit(0)


def run_privileged(pod: dict[str, Any], played: dict[str, Any]) -> None:
    """As the manifest has it."""
    name, (container,) = pod["metadata"]["name"], pod["spec"]["containers"]
    manifest = FOLDER / f"{name}.yaml"
    manifest.write_text(json.dumps(pod))
    begun = podman("kube", "play", str(manifest))
    manifest.unlink()
    if begun.returncode:
        end(pod, container["name"], 125, begun.stderr)
        return
    code = int(podman("wait", f"{name}-{container['name']}").stdout)
    said = podman("logs", f"{name}-{container['name']}")
    end(pod, container["name"], code, said.stdout[: played.get("cuts")] + said.stderr)


def podman(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["podman", *words], capture_output=True, text=True, check=False)


def run_with_devices(pod: dict[str, Any], played: dict[str, Any]) -> None:
    """As a kubelet does: the container with the devices that the plugin chose for it, and no others."""
    name, (container,) = pod["metadata"]["name"], pod["spec"]["containers"]
    security = container["securityContext"]
    assert security["runAsNonRoot"] and security["capabilities"] == {"drop": ["ALL"]} and security["seccompProfile"]
    argv = ["run", "--name", name, "--network=none", "--cap-drop=ALL", "--pids-limit=0"]
    argv += ["--read-only", f"--user={security['runAsUser']}"]
    argv += [] if security["allowPrivilegeEscalation"] else ["--security-opt=no-new-privileges"]
    argv += [f"--env={one['name']}={one['value']}" for one in container["env"]]
    device = "nvidia.com/gpu=" if played.get("tells") else "/dev/nvidia"
    argv += [f"--device={device}{index}" for index in played["gives"]]
    driver = played.get("driver", {"files": {}, "env": {}})
    argv += [f"--volume={path}:{place}:ro" for place, path in driver["files"].items()]
    argv += [f"--env={name}={value}" for name, value in driver["env"].items()]
    argv += [f"--tmpfs={one['mountPath']}:mode=1777" for one in container.get("volumeMounts", ())]
    argv += [f"--env=NVIDIA_VISIBLE_DEVICES={played['assigned']}", f"--entrypoint={json.dumps(container['command'])}"]
    write(
        pod
        | {"status": {"phase": "Running", "containerStatuses": [{"name": container["name"], "state": {"running": {}}}]}}
    )
    done = podman(*argv, container["image"], *container.get("args", ()))
    status = {}
    if played.get("tells"):
        resources = [{"resourceID": played["assigned"], "health": "Healthy"}]
        status = {"allocatedResourcesStatus": [{"name": "nvidia.com/gpu", "resources": resources}]}
    end(pod, container["name"], done.returncode, done.stdout + done.stderr, status)


def end(pod: dict[str, Any], container: str, code: int, said: str, status: dict[str, Any] | None = None) -> None:
    name = pod["metadata"]["name"]
    (FOLDER / f"{name}.log").write_text(said)
    if (FOLDER / f"{name}.pod.json").exists():
        whole = {"name": container, "state": {"terminated": {"exitCode": code}}, **(status or {})}
        write(pod | {"status": {"phase": "Failed" if code else "Succeeded", "containerStatuses": [whole]}})


def delete(selector: str) -> None:
    key, _, value = selector.partition("=")
    for pod in pods():
        if pod["metadata"].get("labels", {}).get(key) == value:
            name = pod["metadata"]["name"]
            (FOLDER / f"{name}.pod.json").unlink()
            podman(*(["pod"] if pod["spec"].get("hostPID") else []), "rm", "--force", "--time=0", "--ignore", name)
            with (FOLDER / "removed").open("a") as file:
                file.write(f"{name}\n")


def main() -> None:
    words = sys.argv[1:]
    for option in ("--context", "--request-timeout", "--namespace"):
        if option in words:
            at = words.index(option)
            del words[at : at + 2]
    if words[:2] == ["get", "--raw"]:
        print(get(words[2]))
    elif words[:3] == ["create", "-f", "-"]:
        create(sys.stdin.read())
    elif words[:3] == ["delete", "pods", "--selector"]:
        delete(words[3])
    else:
        sys.exit(f"error: unknown command {words}")


if __name__ == "__main__":
    main()
