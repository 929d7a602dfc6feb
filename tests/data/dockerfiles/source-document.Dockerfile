FROM nvidia/cuda:10.1-base-ubuntu14.04

RUN apt-get update

RUN apt-get -y install gcc

RUN apt-get -y install numactl

RUN apt-get -y install libpython2.7

ENV GODEBUG cgocheck=0, gctrace=1

WORKDIR /root/msp/aiaas/EDGen_1.3.2.4.0.2_amharic/bin

ENV LD_LIBRARY_PATH=/root/msp/aiaas/EDGen_1.3.2.4.0.2_amharic/bin:\$LD_LIBRARY_PATH

ENV PYTHONHOME /root/msp/aiaas/EDGen_1.3.2.4.0.2_amharic/bin/python2.7_linux

ENV PYTHONPATH \$PYTHONHOME:\$PYTHONHOME/site-packages

ENV PATH \$PATH:\$PYTHONHOME:\$PYTHONPATH
