"""What the help of each command ends with: lines that work as pasted, at most 54 columns."""

EXAMPLES = {
    "doctor": ("gpuctl doctor --only driver -v", "gpuctl doctor --fix --dry-run"),
    "explain": ("docker logs job 2>&1 | gpuctl explain", "gpuctl explain driver.nvml"),
    "check": (
        "gpuctl check --image nvidia/cuda:12.4.1-base-ubi9",
        "gpuctl check --cuda 12.4 --driver 535.54.03 --gpu A100",
    ),
    "matrix": ("gpuctl matrix --cuda 12", "gpuctl matrix --gpu V100 --csv"),
    "recommend": ("gpuctl recommend --cuda 12.4", "gpuctl recommend --gpu A100 --gpu T4 --json"),
    "image": ("gpuctl image --flavour base --os ubuntu", "gpuctl image --cuda 12.4 --cudnn --all"),
    "dockerfile lint": (
        "gpuctl dockerfile lint Dockerfile",
        "gpuctl dockerfile lint Dockerfile --driver 535.54.03",
    ),
    "migrate run": ("gpuctl migrate run --diff start.sh", "gpuctl migrate run -- nvidia-docker run app"),
    "migrate container": ("gpuctl migrate container --all", "gpuctl migrate container train --json"),
    "migrate compose": (
        "gpuctl migrate compose docker-compose.yml --diff",
        "gpuctl migrate compose a.yml b.yml --write",
    ),
    "migrate k8s": ("gpuctl migrate k8s job.yaml --diff", "gpuctl migrate k8s *.yaml --write"),
    "image diff": (
        "gpuctl image diff old:1 nvidia/cuda:12.4.1-base-ubi9",
        "gpuctl image diff old:1 new:1 --json",
    ),
    "dockerfile new": (
        "gpuctl dockerfile new --app ./app -o Dockerfile",
        "gpuctl dockerfile new --gpu A100 --framework torch",
    ),
    "install-runtime": ("gpuctl install-runtime --install --dry-run", "gpuctl install-runtime --engine podman"),
    "uninstall-runtime": ("gpuctl uninstall-runtime --dry-run", "gpuctl uninstall-runtime --json"),
    "bundle": (
        "gpuctl bundle --os ubuntu22.04 -o toolkit.bundle",
        "gpuctl bundle --os rhel9 --zipapp gpuctl.pyz -o b",
    ),
    "rollback": ("gpuctl rollback --dry-run", "gpuctl rollback --json"),
    "history": ("gpuctl history", "gpuctl history --json"),
    "smoke": ("gpuctl smoke", "gpuctl smoke --engine podman --gpus all"),
    "collect": ("gpuctl collect -o host.jsonl", "gpuctl collect --anonymise"),
    "diff": ("gpuctl diff before.jsonl after.jsonl", "gpuctl diff before.jsonl after.jsonl --json"),
    "k8s why": ("gpuctl k8s why -n team job/train", "gpuctl k8s why --from cluster.json pod-7"),
    "k8s doctor": ("gpuctl k8s doctor --node gpu-03 --hosts reports/", "gpuctl k8s doctor --from cluster.json --json"),
    "k8s check": ("gpuctl k8s check --cuda 12.4", "gpuctl k8s check --framework pytorch==2.4.0+cu121"),
    "k8s smoke": ("gpuctl k8s smoke --node gpu-03 --deep", "gpuctl k8s smoke --all --dry-run"),
    "k8s rbac": ("gpuctl k8s rbac --json", "gpuctl k8s rbac --missing"),
    "k8s collect": ("gpuctl k8s collect -o cluster.jsonl.gz", "gpuctl k8s collect --context prod"),
    "fleet judge": ("gpuctl fleet judge RUN", "gpuctl fleet judge RUN -o html=fleet.html"),
    "fleet merge": ("gpuctl fleet merge snapshots/ -o RUN", "gpuctl fleet merge *.jsonl.gz -o RUN --json"),
    "fleet diff": ("gpuctl fleet diff BEFORE AFTER", "gpuctl fleet diff BEFORE AFTER --json"),
    "fleet doctor": (
        "gpuctl fleet doctor -i hosts.ini --become",
        "gpuctl fleet doctor --slurm gpu --max-unreachable 2%",
    ),
    "fleet check": (
        "gpuctl fleet check --cuda 12.4 -i hosts.ini",
        "gpuctl fleet check --image app:1 --hosts gpu01,gpu02",
    ),
    "fleet smoke": (
        "gpuctl fleet smoke -i hosts.ini -b --zipapp gpuctl.pyz",
        "gpuctl fleet smoke --slurm gpu --become --host",
    ),
    "fleet collect": ("gpuctl fleet collect -i hosts.ini --become", "gpuctl fleet collect --hosts gpu01,gpu02 --json"),
    "fleet plan": (
        "gpuctl fleet plan install-runtime -i hosts.ini -o PLAN",
        "gpuctl fleet plan doctor --fix --hosts a,b --json",
    ),
    "fleet apply": (
        "gpuctl fleet apply PLAN -i hosts.ini --become",
        "gpuctl fleet apply PLAN --slurm gpu -b --drain slurm",
    ),
    "fleet undo": (
        "gpuctl fleet undo RUN -i hosts.ini --become",
        "gpuctl fleet undo RUN -i hosts.ini --limit gpu07",
    ),
    "data show": ("gpuctl data show", "gpuctl data show -v"),
    "data verify": ("gpuctl data verify", "gpuctl data verify ./tables"),
    "data use": ("gpuctl data use ./tables --dry-run", "gpuctl data use --bundled"),
    "data refresh": ("gpuctl data refresh --dry-run", "gpuctl data refresh --json"),
}


def examples(command: str) -> str:
    """Returns the end of a command's help, its lines kept as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  $ {line}" for line in EXAMPLES[command])
