# A collector that ships the driver of the host it was written on.
FROM ubuntu:17.10

ENV DRIVER=375.66
LABEL version="${DRIVER}-1"

RUN DEBIAN_FRONTEND=noninteractive apt-get -qq update \
 && apt-get install -yqq --no-install-recommends python-pip \
 && pip install nvidia-ml-py exporter-client \
 && rm -rf /var/lib/apt/lists/*

COPY host/${DRIVER}/usr/bin/nvidia-smi /usr/bin/
COPY host/${DRIVER}/usr/lib/libcuda.so.${DRIVER} \
 host/${DRIVER}/usr/lib/libnvidia-ml.so.${DRIVER} \
 host/${DRIVER}/usr/lib/libOpenCL.so.1.0.0 \
 /usr/lib/x86_64-linux-gnu/

RUN chmod +x /usr/bin/nvidia-smi
RUN ln -s /usr/lib/x86_64-linux-gnu/libcuda.so.${DRIVER} /usr/lib/x86_64-linux-gnu/libcuda.so.1 \
 && ldconfig

CMD ["collect", "--port", "9090"]
