#!/bin/sh
# tensorflow-gpu 1.12.0, 1.12.2 and 1.13.1 for x86_64 from PyPI (0.9 GB of downloads).
#
# The wheels of the patch releases 1.12.2 and 1.12.3 hold machine code and PTX for compute capability 3.7 alone, the
# Tesla K80's. Those before and after hold both for 3.5 to 7.0. So an update of the patch number takes all code from a
# P100, V100 or GTX 1080: the driver compiles PTX of Kepler for each kernel at the first start, and on a K40 (3.5)
# nothing runs at all.
#
# Seen:
#   1.12.0: sm_35 sm_37 sm_52 sm_60 sm_61 sm_70
#   1.12.2: sm_37
#   1.13.1: sm_35 sm_37 sm_52 sm_60 sm_61 sm_70
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv pip >&2
said=$(for version in 1.12.0 1.12.2 1.13.1; do
    pip/bin/pip download -q --no-deps --only-binary=:all: --python-version=3.6 --implementation=cp --abi=cp36m \
        --platform=manylinux1_x86_64 -d . "tensorflow-gpu==$version" >&2
    # PTX names its target in its first lines, which are legible in the library, compressed or not.
    held=$(unzip -p tensorflow_gpu-$version-*.whl '*/_pywrap_tensorflow_internal.so' | grep -aoE '\.target sm_[0-9]+' |
        sort -u | cut -d' ' -f2 | xargs)
    echo "$version: $held"
    rm tensorflow_gpu-$version-*.whl
done)
echo "$said"
test "$said" = "1.12.0: sm_35 sm_37 sm_52 sm_60 sm_61 sm_70
1.12.2: sm_37
1.13.1: sm_35 sm_37 sm_52 sm_60 sm_61 sm_70"
