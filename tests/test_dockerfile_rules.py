"""The rules of `gpuctl dockerfile lint`: each finds its fault where it is, and stays silent where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpuctl.compat.ask.question import Machine
from gpuctl.compat.knowledge.dockerfile_rules import dockerfile_rules
from gpuctl.compat.knowledge.gpus.gpus import find_gpu
from gpuctl.compat.knowledge.images import cuda_images, listed, same_minor
from gpuctl.compat.knowledge.lifetimes import releases
from gpuctl.compat.versions import parts
from gpuctl.dockerfile.hosts import of_machine
from gpuctl.dockerfile.lint import LintFinding, lint, mended
from gpuctl.dockerfile.rules.engine import RULES

DATA = Path(__file__).parent / "data"
BASE = max(
    (row for row in cuda_images() if row.status == "supported" and row.os == "ubuntu24.04"),
    key=lambda row: parts(row.cuda),
)
"""The newest supported image on a system that is, so that nothing else is wrong."""
FROM = f"FROM nvidia/cuda:{BASE.cuda}-base-ubuntu24.04\n"
DEVEL = f"FROM nvidia/cuda:{BASE.cuda}-devel-ubuntu24.04\n"
MAJOR, MINOR = map(int, BASE.cuda.split(".")[:2])
OLDER = f"{MAJOR - 1}-0"
UNSUPPORTED = next(
    row
    for row in cuda_images()
    if row.status == "unsupported" and row.os == "ubuntu22.04" and same_minor(row.reference("base"))
)
UBUNTU = max((row for row in releases().values() if row.id == "ubuntu"), key=lambda row: row.end_of_life).version
GPU = "ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility\n"

ILL = {
    "driver-library": [
        (FROM + "COPY --from=host /usr/lib/x86_64-linux-gnu/libcuda.so.535.54.03 /usr/lib/\n", 2),
        (FROM + "ADD nvidia-smi /usr/bin/\n", 2),
        (FROM + 'COPY ["a b", "libnvidia-ml.so.1", "/usr/lib/"]\n', 2),
        (FROM + "RUN true && \\\n # why\n ln -s /usr/local/cuda/lib64/stubs/libcuda.so /usr/lib/libcuda.so.1\n", 4),
        (FROM + "RUN bash -c 'cp /tmp/libnvcuvid.so.1 /usr/lib'\n", 2),
        (FROM + "ENV LD_LIBRARY_PATH=$LD_LIBRARY_PATH:/usr/lib/nvidia-384\n", 2),
        (DEVEL + "RUN nvcc a.cu\nENV LD_LIBRARY_PATH=/usr/local/cuda/lib64/stubs:$LD_LIBRARY_PATH\n", 3),
    ],
    "driver-package": [
        (FROM + "RUN dnf -y module install nvidia-driver:535-dkms\n", 2),
        (FROM + "RUN dnf install -y @nvidia-driver:latest\n", 2),
        (FROM + "RUN zypper --non-interactive install nvidia-compute-G06 && zypper clean\n", 2),
        (FROM + "RUN ubuntu-drivers autoinstall\n", 2),
        (f"FROM archlinux:base\n{GPU}RUN pacman -Syu --noconfirm --needed base-devel \\\n  nvidia-utils\n", 4),
        (f"FROM archlinux:base\n{GPU}RUN yes | pacman --noconfirm -Sy --root /mnt extra/nvidia-open-dkms && true\n", 3),
        (f"FROM archlinux:base\n{GPU}RUN pacman -S cuda\n", 3),
        (f"FROM archlinux:base\n{GPU}RUN yay -S --noconfirm lib32-nvidia-470xx-utils\n", 3),
        (f"FROM archlinux:base\n{GPU}RUN pacman -U https://x/nvidia-utils-535.113.01-2-x86_64.pkg.tar.zst\n", 3),
        (f"FROM alpine:3\n{GPU}RUN apk add --no-cache -t .gpu --repository https://x/edge nvidia-driver\n", 3),
        (FROM + "RUN apt-get update && apt-get install -y --no-install-recommends curl \\\n  nvidia-driver-535\n", 3),
        (FROM + "RUN sudo -E apt-get -o Acquire::Retries=3 install -y libnvidia-compute-535=535.54.03-0ubuntu1\n", 2),
        (f"FROM ubuntu:24.04\n{GPU}RUN dnf -y install cuda-12-4\n", 3),
        (FROM + "RUN <<EOF\nset -e\nif true; then apt-get install -y cuda-drivers-550; fi\nEOF\n", 4),
        (FROM + 'RUN APT="apt-get install -y" && $APT nvidia-utils-470\n', 2),
        (FROM + "ARG BRANCH=470\nRUN apt-get install -y nvidia-utils-${BRANCH}\n", 3),
        (FROM + "ONBUILD RUN yum install -y kmod-nvidia-latest-dkms\n", 2),
        (FROM + "RUN dpkg -i /tmp/libnvidia-compute-535_535.54.03-0ubuntu1_amd64.deb\n", 2),
        (FROM + "RUN dnf install -y https://x.example/nvidia-driver-libs-535.54.03-1.el9.x86_64.rpm\n", 2),
    ],
    "driver-installer": [
        (
            FROM
            + "RUN wget -q https://x/NVIDIA-Linux-x86_64-535.54.03.run && sh ./NVIDIA-Linux-x86_64-535.54.03.run -s\n",
            2,
        ),
        (FROM + "ENV RUN_FILE=NVIDIA-Linux-x86_64-375.51.run\nRUN wget http://x.example/$RUN_FILE\n", 3),
        (FROM + "ARG V=535.54.03\nADD https://x/NVIDIA-Linux-x86_64-${V}.run /tmp/\n", 3),
        (FROM + "RUN sh cuda_11.8.0_520.61.05_linux.run --silent --driver\n", 2),
    ],
    "base-gone": [
        ("FROM nvidia/cuda:10.1-base-ubuntu14.04\n", 1),
        ("FROM nvidia/cuda\n", 1),
        (
            "ARG CUDA=11.8\nARG OS=ubuntu22.04\nFROM --platform=$P nvidia/cuda:${CUDA:-9.0}-devel-$OS AS b\nRUN make\n",
            3,
        ),
    ],
    "base-unsupported": [(f"FROM {UNSUPPORTED.reference('base')}\n", 1)],
    "base-moving": [
        ("FROM tensorflow/tensorflow:latest-gpu-jupyter\n", 1),
        ("FROM ghcr.io/ggml-org/llama.cpp:server-cuda\n", 1),
    ],
    "base-distribution": [
        (f"FROM ubuntu:18.04\n{GPU}", 1),
        (f"FROM docker.io/library/python:3.8-slim-buster\n{GPU}", 1),
        ("FROM someone/app:cuda12.4-centos7\n", 1),
        ("FROM centos:7\nRUN wget https://x.example/NVIDIA-Linux-x86_64-384.81.run\n", 1),
    ],
    "host-cuda": [(FROM, 1), (f"FROM ubuntu:24.04\n{GPU}RUN pip install torch==2.6.0+cu126\n", 3)],
    "cuda-mismatch": [
        (FROM + f"RUN apt-get update && apt-get install -y curl cuda-nvcc-{OLDER}\n", 2),
        (FROM + "RUN dnf install -y libcublas-devel-11-8\n", 2),
        (FROM + "RUN apt-get update && apt-get install -y libcudnn8=8.9.7.29-1+cuda11.8\n", 2),
    ],
    "cuda-compat": [
        (FROM + f"RUN apt-get update && apt-get install -y cuda-compat-{OLDER}\n", 2),
        (FROM + "ENV LD_LIBRARY_PATH=/usr/local/cuda/compat:$LD_LIBRARY_PATH\n", 2),
    ],
    "flavour": [
        (DEVEL + "RUN pip3 install torch numpy\n", 1),
        (f"FROM nvidia/cuda:{BASE.cuda}-cudnn-runtime-ubuntu24.04\nRUN pip3 install torch\n", 1),
    ],
    "env-swallowed": [
        (FROM + "ENV GODEBUG cgocheck=0, gctrace=1\n", 2),
        (FROM + "ENV CUDA_HOME /usr/local/cuda, OMP_NUM_THREADS=1\n", 2),
        (FROM + "ENV A 1 \\\n B=2\n", 3),
    ],
    "path-lost": [
        (FROM + "ENV LD_LIBRARY_PATH=/opt/app/lib\n", 2),
        (FROM + 'ENV A=1 \\\n    PATH="/opt/app/bin:/usr/bin"\n', 3),
        (FROM + "ENV LD_LIBRARY_PATH /opt/app/lib:\\$LD_LIBRARY_PATH\n", 2),
        (FROM + "ENV LD_LIBRARY_PATH='/opt/app/lib:$LD_LIBRARY_PATH'\n", 2),
    ],
    "no-gpu-variables": [
        ("FROM archlinux:base-20231001.0.182270\nRUN pacman -Syu --noconfirm nvidia-utils\n", 1),
        (f'FROM ubuntu:{UBUNTU}\nLABEL com.nvidia.volumes.needed="nvidia_driver"\n', 1),
        (f"FROM ubuntu:{UBUNTU}\nENV LD_LIBRARY_PATH=/usr/local/nvidia/lib64:$LD_LIBRARY_PATH\n", 1),
        (f"FROM ubuntu:{UBUNTU}\nCOPY nvidia-smi /usr/bin/nvidia-smi\n", 1),
        ("FROM ubuntu:24.04\nRUN apt-get update && apt-get install -y cuda-toolkit-12-4\n", 1),
        ("FROM python:3.12\nRUN pip install torch --index-url https://download.pytorch.org/whl/cu124\n", 1),
        (f"{DEVEL}RUN make\nFROM debian:13\nCOPY --from=0 /usr/local/cuda/lib64 /usr/local/cuda/lib64\n", 3),
    ],
    "capabilities": [
        (FROM.replace("-base-", "-runtime-") + "ENV NVIDIA_DRIVER_CAPABILITIES=utility\n", 2),
        (FROM + "ENV NVIDIA_DRIVER_CAPABILITIES compute,utility\nRUN ./configure --enable-nvenc && make\n", 2),
        (FROM + "RUN apt-get update && apt-get install -y vulkan-tools\n", 1),
    ],
    "require-disabled": [(FROM + "ENV NVIDIA_DISABLE_REQUIRE=1\n", 2)],
    "gpu-in-build": [
        (FROM + "RUN apt-get update && nvidia-smi\n", 2),
        (FROM + 'RUN ["nvidia-smi", "-L"]\n', 2),
        ("# syntax=docker/dockerfile:1\n" + FROM + "RUN --device=nvidia.com/gpu=all nvidia-smi\n", 3),
        (FROM + "RUN python3 -c 'import torch; torch.zeros(1).cuda(); print(torch.cuda.get_device_name())'\n", 2),
        (FROM + "RUN python3 -c 'import torch; torch.ones(1, device=\"cuda\")'\n", 2),
        (FROM + "RUN python3 <<EOF\nimport torch\nassert torch.cuda.is_available()\nEOF\n", 4),
        (DEVEL + "RUN make -C samples && ./samples/deviceQuery\n", 2),
    ],
    "no-architecture-list": [
        (DEVEL + "RUN pip install torch\nCOPY . /app\nRUN cd /app && python setup.py install\n", 4),
        (DEVEL + "RUN pip install sageattention --no-build-isolation\n", 2),
        (
            "FROM pytorch/pytorch:2.6.0-cuda12.6-cudnn9-devel\nRUN pip install git+https://github.com/NVIDIA/apex.git\n",
            2,
        ),
    ],
    "old-key": [
        (
            FROM
            + "RUN curl -L https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2404/x86_64/7fa2af80.pub\n",
            2,
        ),
        (FROM + "ENV NVIDIA_GPGKEY_FPR=ae09fe4bbd223a84b2ccfce3f60f4b3d7fa2af80\n", 2),
    ],
    "apt-key": [
        (
            FROM
            + "RUN apt-key adv --fetch-keys https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2404/x86_64/3bf863cc.pub\n",
            2,
        ),
    ],
    "foreign-sources": [
        (FROM + "RUN echo 'deb http://archive.ubuntu.com/ubuntu jammy main' > /etc/apt/sources.list.d/a.list\n", 2),
        (
            FROM
            + "ADD https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2204/x86_64/cuda-keyring.deb /\n",
            2,
        ),
    ],
    "update-apart": [
        (FROM + "RUN apt-get update\nRUN apt-get install -y gcc\n", 3),
        (
            FROM.replace("\n", " AS a\n")
            + "RUN apt update\nFROM a\nRUN set -e; DEBIAN_FRONTEND=noninteractive apt -y install gcc\n",
            4,
        ),
    ],
    "wheel-cuda": [
        (
            "FROM nvidia/cuda:11.8.0-base-ubuntu22.04\nRUN pip install torch --index-url https://download.pytorch.org/whl/cu121\n",
            2,
        ),
        ("FROM nvidia/cuda:11.8.0-base-ubuntu22.04\nRUN python3 -m pip install 'jax[cuda12]'\n", 2),
        ("FROM nvidia/cuda:11.8.0-base-ubuntu22.04\nRUN uv pip install cupy-cuda12x\n", 2),
        ("FROM nvidia/cuda:11.8.0-base-ubuntu22.04\nRUN conda install -y -c pytorch pytorch-cuda=12.1\n", 2),
    ],
    "wheels-clash": [(FROM + "RUN pip install nvidia-nccl-cu12\nRUN pip install nvidia_nccl_cu13==2.27\n", 3)],
    "limits": [
        (FROM + "RUN ulimit -n 65536 && true\n", 2),
        (FROM + "RUN mount -o remount,size=8G /dev/shm\n", 2),
    ],
}
"""By rule, Dockerfiles that have its fault, and the line on which it is."""

SOUND = {
    "driver-library": [
        DEVEL + "ENV LIBRARY_PATH=/usr/local/cuda/lib64/stubs\nRUN nvcc a.cu\n",
        DEVEL + "RUN ln -s /usr/local/cuda/lib64/stubs/libcuda.so /usr/local/cuda/lib64/stubs/libcuda.so.1 && make\n",
        DEVEL
        + "RUN cp /usr/local/cuda/lib64/stubs/libcuda.so /usr/lib/ && make\nFROM scratch\nCOPY --from=0 /app /app\n",
        FROM + "COPY <<libcuda.so /etc/note\nlibcuda.so.1\nlibcuda.so\n",
        FROM + "COPY libcudart.so.12 libGL.so.1 /usr/lib/\n",
    ],
    "driver-package": [
        FROM + "RUN apt-get remove -y nvidia-driver-535 && apt-mark hold libnvidia-compute-535\n",
        FROM
        + "RUN apt-get install -y libnvidia-container1 nvidia-container-toolkit libnvidia-ml-dev cuda-toolkit-12-4\n",
        FROM + "RUN dpkg -i --ignore-depends=nvidia-384,libcuda1-384 a.deb && echo apt-get install nvidia-384\n",
        FROM + "# RUN apt-get install nvidia-384\nRUN true && \\\n  # apt-get install nvidia-384\n  true\n",
        FROM + "RUN python3 <<EOF\napt-get install nvidia-384\nEOF\n",
        "FROM archlinux:base\nRUN pacman -Syu --ignore nvidia-utils --noconfirm nvidia-settings nvidia-prime"
        " && pacman -Ss nvidia && pacman -Rdd nvidia-utils && pacman -Sw nvidia && pacman -Qi nvidia\n",
        "FROM alpine:3\nRUN apk add --virtual nvidia-utils curl && apk del nvidia-utils\n",
    ],
    "driver-installer": [
        FROM + "RUN sh cuda_11.8.0_520.61.05_linux.run --silent --toolkit\n",
        FROM + "RUN sh NVIDIA-Linux-x86_64-535.54.03.run --extract-only\n",
    ],
    "base-gone": [
        FROM,
        "FROM nvidia/cuda@sha256:" + "a" * 64 + "\n",
        "ARG TAG\nFROM nvidia/cuda:$TAG\n",
        "ARG CUDA=notset\nFROM nvidia/cuda:${CUDA}-base\n",
        "FROM nvidia/cuda:99.1.0-base-ubuntu24.04\n",
        "FROM mirror.example/nvidia/cuda:10.1-base\n",
    ],
    "base-unsupported": [FROM],
    "base-moving": ["FROM tensorflow/tensorflow:2.15.0-gpu\n", "FROM ubuntu:latest\n", "FROM nvidia/cuda:latest\n"],
    "base-distribution": ["FROM ubuntu:18.04\nRUN apt-get install -y nginx\n", f"FROM ubuntu:{UBUNTU}\n{GPU}"],
    "host-cuda": ["FROM ubuntu:24.04\n", "FROM nvidia/cuda:11.8.0-base-ubuntu22.04\n"],
    "cuda-mismatch": [
        FROM + f"RUN apt-get install -y cuda-nvcc-{MAJOR}-{MINOR} libcudnn9-cuda-{MAJOR}\n",
        "FROM nvidia/cuda:11.7.1-base-ubuntu22.04\nRUN apt-get install -y libcudnn8=8.9.7.29-1+cuda11.8\n",
        FROM + f"FROM ubuntu:24.04\nRUN apt-get install -y cuda-nvcc-{OLDER}\n",
    ],
    "cuda-compat": [FROM + f"RUN apt-get install -y cuda-compat-{MAJOR}-{MINOR + 1}\n"],
    "flavour": [
        DEVEL + "RUN make\n",
        DEVEL + "COPY . .\nRUN pip install -r requirements.txt\n",
        DEVEL + "RUN ./install.sh\n",
        "ARG WHICH=cu1\n"
        + DEVEL.replace("\n", " AS cu1\n")
        + DEVEL.replace("\n", " AS cu2\n")
        + "FROM $WHICH\nRUN make\n",
        DEVEL + "RUN make\nFROM nvidia/cuda:12.4.1-base-ubuntu22.04\n",
        f"FROM nvidia/cuda:{BASE.cuda}-cudnn-runtime-ubuntu24.04\nRUN pip3 install torch onnxruntime-gpu\n",
        DEVEL + 'SHELL ["powershell"]\nRUN Build-It\n',
    ],
    "env-swallowed": [
        FROM + "ENV NVIDIA_REQUIRE_CUDA cuda>=10.0 brand=tesla,driver>=384,driver<385\n",
        FROM + 'ENV JAVA_OPTS -Xmx1g -Dfile.encoding=UTF-8\nENV A="b, c=1" B=2\nENV C "x, D=1"\n',
    ],
    "path-lost": [
        FROM + "ENV PATH=/opt/bin:$PATH LD_LIBRARY_PATH=/opt/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\n",
        FROM + "ENV LD_LIBRARY_PATH=/usr/local/nvidia/lib64:/opt/lib\n",
        "FROM python:3.12\nENV LD_LIBRARY_PATH=/opt/lib\n",
        "# escape=`\n" + FROM + "ENV LD_LIBRARY_PATH=C:\\$LD_LIBRARY_PATH\n",
    ],
    "no-gpu-variables": [
        FROM + "RUN apt-get install -y cuda-toolkit-12-4\n",
        "FROM ubuntu:24.04\n" + GPU + "RUN apt-get install -y cuda-toolkit-12-4\n",
        "FROM python:3.12\nRUN pip install torch\n",
        "FROM mycompany/base\nRUN pip install cupy-cuda12x\n",
        "FROM mycompany/base\nRUN apt-get install -y libnvidia-compute-535\n",
        "FROM mycompany/base\nRUN apt-get install -y cuda-nvcc-12-4\n",
        "FROM ubuntu:24.04 AS b\nRUN apt-get install -y cuda-toolkit-12-4\nFROM alpine:3.22\nCOPY --from=b /a /a\n",
    ],
    "capabilities": [
        FROM + "ENV NVIDIA_DRIVER_CAPABILITIES=all\nRUN ./configure --enable-nvenc\n",
        FROM + "ENV NVIDIA_DRIVER_CAPABILITIES=$CAPS\n",
        FROM + "ENV NVIDIA_DRIVER_CAPABILITIES=utility\nCOPY device-plugin /usr/bin/\n",
        DEVEL + "RUN apt-get install -y vulkan-tools && make\nFROM nvidia/cuda:12.4.1-base-ubi9\nCOPY --from=0 /a /a\n",
    ],
    "require-disabled": [FROM + "ENV NVIDIA_DISABLE_REQUIRE=0\n"],
    "gpu-in-build": [
        "# syntax=docker/dockerfile:1-labs\n" + FROM + "RUN --device=nvidia.com/gpu=all nvidia-smi\n",
        FROM + "RUN nvidia-smi || true\nRUN if nvidia-smi; then echo GPU; fi\nRUN ! nvidia-smi\n",
        FROM + "RUN which nvidia-smi; echo nvidia-smi\nCMD nvidia-smi\nHEALTHCHECK CMD nvidia-smi\n",
        FROM + "RUN python3 -c 'import torch; print(torch.__version__, torch.version.cuda)'\n",
    ],
    "no-architecture-list": [
        DEVEL + "ENV TORCH_CUDA_ARCH_LIST='8.0 9.0'\nRUN pip install torch\nRUN python setup.py install\n",
        DEVEL + "ARG TORCH_CUDA_ARCH_LIST=9.0\nRUN pip install sageattention\n",
        DEVEL + "RUN pip install sageattention-2.2.0+cu128torch2.8.0-cp311-cp311-linux_x86_64.whl\n",
        DEVEL + "RUN pip install --no-build-isolation flash-attn causal-conv1d mamba-ssm\n",
        DEVEL + "RUN pip install torch\nRUN TORCH_CUDA_ARCH_LIST=9.0 python setup.py install\n",
        DEVEL + "RUN pip install torch\nRUN git clone https://x.example/coco && cd coco && python setup.py install\n",
        DEVEL + "RUN python setup.py install\n",
    ],
    "old-key": [
        FROM + "RUN apt-key del 7fa2af80\n",
        FROM + "RUN apt-key add /var/cuda-repo-10-0-local-10.0.130-410.48/7fa2af80.pub\n",
    ],
    "apt-key": [FROM + "RUN apt-key del 7fa2af80\nRUN apt-key adv --fetch-keys https://x.example/key\n"],
    "foreign-sources": [
        FROM + "RUN echo 'deb http://archive.ubuntu.com/ubuntu noble-updates main' > /etc/apt/sources.list.d/a.list\n",
        FROM + "RUN sed -i 's|http://archive.ubuntu.com/ubuntu jammy|http://mirror jammy|' /etc/apt/sources.list\n",
    ],
    "update-apart": [
        FROM + "RUN apt-get update && apt-get install -y a\nRUN apt-get update; apt-get install -y b\n",
        FROM + "RUN apt-get update\nRUN apt-get install -y ./local.deb\n",
        "FROM ubuntu:24.04\nRUN apt-get update\nRUN apt-get install -y nginx\n",
    ],
    "wheel-cuda": [
        "FROM nvidia/cuda:12.4.1-base-ubuntu22.04\nRUN pip install torch==2.4.0+cu121 cupy-cuda12x 'jax[cuda12]'\n",
        "FROM nvidia/cuda:12.4.1-base-ubuntu22.04\nRUN pip install https://x.example/a-1.0+cu12torch2.9-py3.whl\n",
        "FROM nvidia/cuda:11.8.0-base-ubuntu22.04\nRUN pip install numpy --extra-index-url https://download.pytorch.org/whl/cu121\n",
    ],
    "wheels-clash": [
        FROM + "RUN pip install nvidia-nccl-cu12 nvidia-cublas-cu12\n",
        FROM.replace("\n", " AS a\n")
        + "RUN pip install nvidia-nccl-cu12\n"
        + FROM
        + "RUN pip install nvidia-nccl-cu13\n",
    ],
    "limits": ["FROM alpine:3.22\nRUN ulimit -n 1024\n", FROM + "CMD ulimit -n 1024 && app\n"],
}
"""By rule, Dockerfiles in which what it looks for is right, or no part of an image, or nothing to do with GPUs."""

OLD_HOST = of_machine(Machine("470.57.02", (find_gpu("V100"),)))


def faults(text: str) -> list[LintFinding]:
    return list(lint(text.encode(), "Dockerfile", why_not=OLD_HOST).faults)


def test_a_tag_of_a_minor_version_is_named_one_with_its_update_also_of_a_minor_version_0() -> None:
    supported = [row for row in cuda_images() if row.status == "supported" and row.os and "base" in row.flavours]
    minors = {".".join(row.cuda.split(".")[:2]): row for row in supported}
    assert any(minor.endswith(".0") for minor in minors)
    for minor, row in minors.items():
        assert (same_minor(f"nvidia/cuda:{minor}-base-{row.os}") or "").startswith(f"{minor}."), row


def of(rule: str, text: str) -> list[LintFinding]:
    return [one for one in faults(text) if one.rule.id == f"dockerfile.{rule}"]


def test_each_rule_has_its_row_its_function_its_faults_and_what_is_none() -> None:
    ids = {id.removeprefix("dockerfile.") for id in dockerfile_rules()}
    faults("FROM a\n")  # loads them
    assert ids == {id.removeprefix("dockerfile.") for id in RULES} == set(ILL) == set(SOUND)


def test_the_page_of_the_command_has_the_table_of_the_rules() -> None:
    page = (DATA.parents[1] / "docs" / "commands" / "dockerfile.md").read_text()
    rows = [
        f"| `{row.id}` | {row.severity} | {row.title} | {'yes' if row.fixed else ''} |"
        for row in dockerfile_rules().values()
    ]
    assert [line for line in page.splitlines() if line.startswith("| `")] == rows


@pytest.mark.parametrize(("rule", "text", "line"), [(rule, *one) for rule, many in ILL.items() for one in many])
def test_a_rule_finds_its_fault_once_and_on_its_line(rule: str, text: str, line: int) -> None:
    assert [one.line for one in of(rule, text)] == [line]


@pytest.mark.parametrize(("rule", "text"), [(rule, one) for rule, many in SOUND.items() for one in many])
def test_a_rule_is_silent_where_there_is_no_fault(rule: str, text: str) -> None:
    assert [one.message for one in of(rule, text)] == []


@pytest.mark.parametrize("rule", [row.id.partition(".")[2] for row in dockerfile_rules().values() if row.fixed])
def test_what_a_rule_can_mend_is_mended_and_the_rest_of_the_text_stays(rule: str) -> None:
    fixable = [text for text, _ in ILL[rule] if any(one.fixable for one in of(rule, text))]
    assert fixable or rule == "base-gone"
    for text in fixable:
        new, left = mended(text.encode(), "Dockerfile")
        assert not any(one.fixable for one in left.faults) and left.fixed
        assert not of(rule, new.decode())
        untouched = [
            line for number, line in enumerate(text.splitlines(), 1) if all(one.line != number for one in faults(text))
        ]
        assert set(untouched) <= set(new.decode().splitlines())


MENDED = {
    "ENV LD_LIBRARY_PATH=/a\n": "ENV LD_LIBRARY_PATH=/a:${LD_LIBRARY_PATH}\n",
    'ENV B=2 PATH="/a b" C=3\n': 'ENV B=2 PATH="/a b:${PATH}" C=3\n',
    "ENV PATH \\$PATH:/a\n": "ENV PATH $PATH:/a\n",
    "ENV CUDA_HOME /cuda, OMP_NUM_THREADS=1, A=b\r\n": "ENV CUDA_HOME=/cuda OMP_NUM_THREADS=1 A=b\r\n",
    "RUN apt-get update\nRUN set -e; X=1 apt-get install -y gcc\n": (
        "RUN apt-get update\nRUN set -e; apt-get update && X=1 apt-get install -y gcc\n"
    ),
    "RUN apt-get update\nRUN sudo -E apt-get install -y gcc\n": (
        "RUN apt-get update\nRUN sudo -E apt-get update && sudo -E apt-get install -y gcc\n"
    ),
    'RUN apt-get update\nRUN ["apt-get", "install", "-y", "gcc"]\nRUN a || apt-get install -y b\n': (
        'RUN apt-get update\nRUN ["apt-get", "install", "-y", "gcc"]\nRUN a || apt-get install -y b\n'
    ),
    "ADD https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2404/x86_64/7fa2af80.pub /\n": (
        "ADD https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2404/x86_64/3bf863cc.pub /\n"
    ),
    "RUN dnf install -y a \\\n  cuda-12-4  b\n": "RUN dnf install -y a \\\n  cuda-toolkit-12-4  b\n",
    "ENV NVIDIA_DRIVER_CAPABILITIES utility # é\n": "ENV NVIDIA_DRIVER_CAPABILITIES utility # é\n",
    "RUN pip install torch==2.6.0+cu126\nENV NVIDIA_DRIVER_CAPABILITIES=utility\n": (
        "RUN pip install torch==2.6.0+cu126\nENV NVIDIA_DRIVER_CAPABILITIES=utility,compute\n"
    ),
}


@pytest.mark.parametrize("text", MENDED)
def test_mending_writes_what_a_person_would(text: str) -> None:
    assert mended((FROM + text).encode(), "Dockerfile")[0].decode() == FROM + MENDED[text]


def test_the_mended_base_is_the_newest_supported_update_of_the_same_cuda() -> None:
    old = next(row for row in cuda_images() if row.cuda == "12.1.0" and row.os == "ubuntu22.04").reference("base")
    new = mended(f"FROM {old} AS a\n".encode(), "Dockerfile")[0].decode()
    row = listed(new.split()[1])
    assert row and row.status == "supported" and row.cuda.startswith("12.1.") and new.endswith(" AS a\n")


@pytest.mark.parametrize("image", ["nvidia/cuda:12.4.1-base-ubi9", "nvcr.io/nvidia/tritonserver:24.01-py3"])
def test_a_host_that_runs_the_image_by_the_package_in_it_is_no_fault_and_one_that_cannot_is_named(image: str) -> None:
    text = f"FROM {image}\n".encode()
    hosts = [Machine("470.57.02", (find_gpu(gpu),)) for gpu in ("V100", "RTX 3090")]
    runs, fails = (lint(text, "D", why_not=of_machine(host)).faults for host in hosts)
    assert [one.rule.id for one in runs] == []
    (fault,) = fails
    assert "470.57.02" in fault.message and "RTX 3090" in fault.message


@pytest.mark.parametrize(
    ("image", "driver", "gpu"),
    [
        ("tensorflow/tensorflow:2.15.0-gpu", "470.256.02", "RTX 3060"),  # its tag names no CUDA
        ("pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime", "580.95.05", "RTX 5090"),  # its build has no code for it
        ("pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime", None, "RTX 5090"),
        ("vllm/vllm-openai:v0.10.2-cu129", "580.95.05", "GTX 1080"),
        ("nvcr.io/nvidia/pytorch:25.04-py3", "575.57.08", "V100"),
    ],
)
def test_an_image_is_told_not_to_run_where_check_says_so(image: str, driver: str | None, gpu: str) -> None:
    machine = Machine(driver, (find_gpu(gpu),))
    faults = lint(f"FROM {image}\n".encode(), "D", why_not=of_machine(machine)).faults
    assert [(one.rule.id, image in one.message) for one in faults] == [("dockerfile.host-cuda", True)]
    sound = of_machine(Machine("580.95.05", (find_gpu("A100"),)))
    assert not lint(f"FROM {image}\n".encode(), "D", why_not=sound).faults


# The rules of others

NEAR = {
    "driver-library": ((), "hadolint and BuildKit look at no file's name"),
    "driver-package": (
        ("DL3008", "DL3033", "DL3037", "DL3041"),
        "they ask for a version of any package, not for none of these",
    ),
    "driver-installer": (("DL3047", "DL4001"), "they are about how a file is fetched"),
    "base-gone": (("DL3006", "DL3007", "DL3029"), "a tag that is there is not told from one that is not"),
    "base-unsupported": ((), ""),
    "base-moving": (("DL3007",), "it knows the tag latest alone, which is left to it"),
    "base-distribution": ((), ""),
    "host-cuda": ((), ""),
    "cuda-mismatch": (("DL3008", "DL3041"), "a pinned version may be another CUDA's"),
    "cuda-compat": (("DL3008",), ""),
    "flavour": (("DL3013",), ""),
    "env-swallowed": (
        ("LegacyKeyValueFormat",),
        "it says of every ENV without = that it is of old, of none what it loses",
    ),
    "path-lost": (("DL3044", "UndefinedVar"), "they are about variables that are named, not about one that is not"),
    "no-gpu-variables": ((), ""),
    "capabilities": ((), ""),
    "require-disabled": ((), ""),
    "gpu-in-build": (("DL3001",), "its list of senseless commands has none that asks for a GPU"),
    "no-architecture-list": (("DL3013",), ""),
    "old-key": (("DL3047",), ""),
    "apt-key": ((), ""),
    "foreign-sources": (("DL3020",), "it is about the instruction"),
    "update-apart": (
        ("DL3009", "DL3059"),
        "one wants lists deleted, the other fewer layers: neither says that lists are old",
    ),
    "wheel-cuda": (("DL3013", "DL3042"), ""),
    "wheels-clash": (("DL3013",), ""),
    "limits": (("DL3001",), "it names mount as senseless in a container, whatever it mounts"),
}
"""By our rule, those of others that come nearest, and what they do not say."""
ASIDE = {
    *("DL3002", "DL3003", "DL3004", "DL3008", "DL3009", "DL3013", "DL3014", "DL3015", "DL3020", "DL3022", "DL3027"),
    *(
        "DL3032",
        "DL3033",
        "DL3040",
        "DL3041",
        "DL3042",
        "DL3045",
        "DL3047",
        "DL3059",
        "DL4006",
        "DL3018",
        "DL3030",
        "DL3038",
    ),
}
"""What hadolint says of the same line on other grounds: pins, switches, caches, layers, shells."""


def others() -> dict[str, str]:
    rows = map(json.loads, (DATA / "other_linters.jsonl").read_text().splitlines())
    return {row["rule"]: row["linter"] for row in rows}


def test_the_nearest_rules_of_others_are_named_for_each_rule_of_ours() -> None:
    assert set(NEAR) == set(ILL)
    assert {rule for near, _ in NEAR.values() for rule in near} <= set(others())
    assert set(others().values()) == {"hadolint", "BuildKit"}


@pytest.mark.parametrize("rule", ILL)
def test_hadolint_does_not_say_it_already(rule: str, tmp_path: Path) -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    for text, line in ILL[rule]:
        file = tmp_path / "Dockerfile"
        file.write_text(text)
        done = subprocess.run([hadolint, "-f", "json", str(file)], capture_output=True, text=True)
        said = {
            one["code"] for one in json.loads(done.stdout) if one["line"] == line and not one["code"].startswith("SC")
        }
        assert said - {"DL1000"} <= ASIDE | set(NEAR[rule][0]), said
