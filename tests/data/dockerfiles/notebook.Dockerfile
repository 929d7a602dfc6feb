FROM tensorflow/tensorflow:1.12.0-gpu-py3

RUN apt-get update -qq -y \
 && apt-get install -y libsm6 libxrender1

RUN apt -y install ffmpeg cmake build-essential \
 && apt-get clean

COPY requirements.txt /opt/
RUN python3 -m pip install -r /opt/requirements.txt

RUN cd /usr/local/cuda/lib64 \
 && mv stubs/libcuda.so ./ \
 && ln -s libcuda.so libcuda.so.1 \
 && ldconfig

CMD ["jupyter", "notebook", "--ip=0.0.0.0"]
