FROM ubuntu:14.04

RUN apt-get update && apt-get install -y \
  build-essential \
  wget

RUN cd /tmp && \
# Fetch
  wget http://downloads.example/cuda_7.5.18_linux.run && \
# Take it apart
  chmod +x cuda_*_linux.run && ./cuda_*_linux.run -extract=`pwd` && \
# The driver, without its module
  ./NVIDIA-Linux-x86_64-*.run -s --no-kernel-module && \
  ./cuda-linux64-rel-*.run -noprompt && \
  rm -rf *

ENV PATH=/usr/local/cuda/bin:$PATH \
  LD_LIBRARY_PATH=/usr/local/cuda/lib64:$LD_LIBRARY_PATH

RUN apt-get install -y rsync
