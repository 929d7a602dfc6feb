FROM nvidia/cuda:12.1.0-runtime-ubi8

ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENV LD_LIBRARY_PATH=/opt/render/lib

RUN dnf install -y \
    mesa-demos \
    vulkan-tools \
    && dnf clean all
# gpuctl ignore=dockerfile.gpu-in-build
RUN nvidia-smi -L
RUN nvidia-smi
