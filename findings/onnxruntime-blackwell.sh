#!/bin/sh
# onnxruntime-gpu 1.28.0 and 1.31.1 for x86_64 from PyPI, read with NVIDIA's cuobjdump 13.5.37 (510 MB of downloads).
#
# The newer release runs on fewer new GPUs. 1.28.0 has machine code for B200 (sm_100a) and PTX that a driver compiles for
# what comes after RTX 50; 1.31.1 has neither, so that of Blackwell it serves compute capability 12.0 alone: on B200 and
# B300 its CUDA provider has no kernel to run. Both are called builds for CUDA 13.
#
# Seen:
#   1.28.0: sm_75 sm_80 sm_86 sm_89 sm_90a sm_100a sm_120a, PTX: sm_120
#   1.31.1: sm_75 sm_80 sm_86 sm_89 sm_90a sm_120a, PTX: none
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv pip >&2
pip/bin/pip install -q --target tools nvidia-cuda-cuobjdump==13.5.37 >&2
said=$(for version in 1.28.0 1.31.1; do
    pip/bin/pip download -q --no-deps --only-binary=:all: --python-version=3.11 --platform=manylinux_2_28_x86_64 \
        -d . "onnxruntime-gpu==$version" >&2
    unzip -q -o -j onnxruntime_gpu-$version-*.whl onnxruntime/capi/libonnxruntime_providers_cuda.so
    for kind in elf ptx; do
        tools/nvidia/cu13/bin/cuobjdump --list-$kind libonnxruntime_providers_cuda.so 2>&1 |
            grep -oE 'sm_[0-9]+[af]?' | sort -u -V | xargs >$kind
    done
    ptx=$(cat ptx)
    echo "$version: $(cat elf), PTX: ${ptx:-none}"
done)
echo "$said"
test "$said" = "1.28.0: sm_75 sm_80 sm_86 sm_89 sm_90a sm_100a sm_120a, PTX: sm_120
1.31.1: sm_75 sm_80 sm_86 sm_89 sm_90a sm_120a, PTX: none"
