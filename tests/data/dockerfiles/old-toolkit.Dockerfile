FROM ubuntu:18.04
RUN apt-get update && apt-get install -y gnupg curl && \
    curl -fsSL https://developer.download.nvidia.com/compute/cuda/repos/ubuntu1604/x86_64/7fa2af80.pub | apt-key add - && \
    echo "deb https://developer.download.nvidia.com/compute/cuda/repos/ubuntu1604/x86_64 /" > /etc/apt/sources.list.d/cuda.list && \
    apt-get update && apt-get install -y --no-install-recommends \
        cuda-cudart-10-0 \
        cuda-10-0 && \
    rm -rf /var/lib/apt/lists/*
