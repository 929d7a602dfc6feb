#!/bin/sh
# tensorflow 2.21.0 for aarch64 from PyPI (280 MB of downloads), as pip 26.2 resolves it.
#
# TensorFlow's way to a GPU, `pip install tensorflow[and-cuda]`, is taken on Arm as well (GH200, GB10): pip resolves it
# to twelve NVIDIA packages built for aarch64, gigabytes of them, beside a TensorFlow that was built without CUDA and
# uses none. Nothing says so; the GPU is not listed.
#
# Seen:
#   resolved: tensorflow-2.21.0-cp311-cp311-manylinux_2_27_aarch64.whl and 12 packages of NVIDIA's, 12 of them for aarch64
#   the wheel: 'is_cuda_build', False; needs or names of CUDA in its library: 0
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv pip >&2
pip/bin/pip install -q pip==26.2 >&2
on_arm="--only-binary=:all: --python-version=3.11 --platform=manylinux_2_28_aarch64 --platform=manylinux_2_27_aarch64
    --platform=manylinux_2_17_aarch64 --platform=manylinux2014_aarch64"
pip/bin/pip install -q $on_arm --dry-run --ignore-installed --target none --report report.json \
    'tensorflow[and-cuda]==2.21.0' >&2
pip/bin/pip download -q --no-deps $on_arm -d . tensorflow==2.21.0 >&2
said=$(python3 - <<'CODE'
import json
with open("report.json") as file:
    files = [one["download_info"]["url"].rpartition("/")[2] for one in json.load(file)["install"]]
theirs = [file for file in files if file.startswith("nvidia_")]
arm = [file for file in theirs if "aarch64" in file]
(own,) = [file for file in files if file.startswith("tensorflow-")]
print(f"resolved: {own} and {len(theirs)} packages of NVIDIA's, {len(arm)} of them for aarch64")
CODE
built=$(unzip -p tensorflow-*.whl tensorflow/python/platform/build_info.py | grep -o "'is_cuda_build', [A-Z][a-z]*")
named=$(unzip -p tensorflow-*.whl tensorflow/libtensorflow_cc.so.2 | grep -acE 'libcudart\.so|libcublas\.so' || true)
echo "the wheel: $built; needs or names of CUDA in its library: $named")
echo "$said"
test "$said" = "resolved: tensorflow-2.21.0-cp311-cp311-manylinux_2_27_aarch64.whl and 12 packages of NVIDIA's, 12 of them for aarch64
the wheel: 'is_cuda_build', False; needs or names of CUDA in its library: 0"
