# GPU workers: the packages of scripts/locks/gpu.txt and this checkout. torch brings CUDA's libraries with it.
#   docker build -f docker/gpu.Dockerfile -t judgerlvr .
#   docker run --gpus all --ipc host --ulimit memlock=-1 -v "$PWD:/work" -w /work judgerlvr python -m judgerlvr --help
FROM python:3.11-slim-bookworm

# A compiler for Triton's and torch.compile's kernels, libnuma for vLLM, git for the commit in a run's manifest.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential git libnuma1 \
    && rm -rf /var/lib/apt/lists/*

ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility PIP_NO_CACHE_DIR=1

# Before the checkout, so that a change of code does not install the packages again.
COPY scripts/locks/gpu.txt /opt/gpu-lock.txt
RUN pip install -r /opt/gpu-lock.txt

COPY . /opt/judgerlvr
RUN pip install --no-deps --no-build-isolation --editable /opt/judgerlvr
