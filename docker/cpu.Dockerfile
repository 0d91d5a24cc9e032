# A machine without GPUs: the environment that scripts/setup.sh makes, and this checkout.
#   docker build -f docker/cpu.Dockerfile -t judgerlvr:cpu .
#   docker run --shm-size 2g -v "$PWD/runs:/opt/judgerlvr/runs" judgerlvr:cpu python -m judgerlvr --help
FROM python:3.11-slim-bookworm

# What scripts/setup.sh asks for, and git for the commit in a run's manifest.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential git libnuma1 \
    && rm -rf /var/lib/apt/lists/*

ENV JUDGERLVR_VENV=/opt/venv PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1

COPY . /opt/judgerlvr
WORKDIR /opt/judgerlvr
RUN scripts/setup.sh
