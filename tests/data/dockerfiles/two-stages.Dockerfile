# syntax=docker/dockerfile:1
ARG CUDA=12.4.1
ARG OS=ubi9

FROM nvidia/cuda:${CUDA}-devel-${OS} AS build
ARG TORCH_CUDA_ARCH_LIST="8.0;9.0"
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install torch --index-url https://download.pytorch.org/whl/cu124
COPY . /src
RUN <<EOF
set -e
cd /src
python3 setup.py bdist_wheel
nvidia-smi || echo "no GPU in the build"
EOF

FROM nvidia/cuda:${CUDA}-base-${OS}
RUN dnf install -y python3-pip \
 # nothing is left of what it fetched
 && dnf clean all
COPY --from=build /src/dist/*.whl /tmp/
ENV PATH=/opt/app/bin:$PATH
USER 1000
ENTRYPOINT ["app"]
