#!/bin/sh
# tensorflow 2.20.0 and 2.21.0 for x86_64 from PyPI (1.2 GB of downloads).
#
# 2.20.0 says of itself that it was built with PTX for compute_90, which drivers compile for every newer GPU. Four in five
# of the PTX texts in it are for sm_90a, which is compiled for Hopper and nothing else: those that TensorFlow's own
# compiler made of the element-wise kernels. On Blackwell (RTX 50, B200) they end in CUDA_ERROR_INVALID_PTX, where one
# would expect a slow first start. 2.21.0 says the same and holds it.
#
# Seen:
#   2.20.0: says sm_60 sm_70 sm_80 sm_89 compute_90; sm_90 248, sm_90a 1149
#   2.21.0: says sm_60 sm_70 sm_80 sm_89 compute_90; sm_90 1398
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv pip >&2
said=$(for version in 2.20.0 2.21.0; do
    pip/bin/pip download -q --no-deps --only-binary=:all: --python-version=3.11 --platform=manylinux_2_27_x86_64 \
        --platform=manylinux_2_17_x86_64 -d . "tensorflow==$version" >&2
    built=$(unzip -p tensorflow-$version-*.whl tensorflow/python/platform/build_info.py |
        grep -o "compute_capabilities', [^]]*" | grep -oE '(sm|compute)_[0-9]+' | xargs)
    # The first line of PTX is legible in the library, compressed or not.
    held=$(unzip -p tensorflow-$version-*.whl tensorflow/libtensorflow_cc.so.2 | grep -aoE '\.target sm_[0-9]+[af]?' |
        sort | uniq -c | awk '{ printf "%s%s %s", sep, $3, $1; sep = ", " }')
    echo "$version: says $built; $held"
    rm tensorflow-$version-*.whl
done)
echo "$said"
test "$said" = "2.20.0: says sm_60 sm_70 sm_80 sm_89 compute_90; sm_90 248, sm_90a 1149
2.21.0: says sm_60 sm_70 sm_80 sm_89 compute_90; sm_90 1398"
