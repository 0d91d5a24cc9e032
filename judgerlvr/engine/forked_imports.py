"""The libraries that processes of a stage import, for a fork server. A start on few cores is mostly imports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from judgerlvr.cluster.environment import environment
from judgerlvr.cluster.forking.start import start_server

# Without Ray, whose settings are fixed by the environment at its import and differ from worker to worker. verl imports
# Ray, and parts of vLLM do. What they import besides is here. The order counts: behind the worker, the server's entry
# finds loaded what would else be reached through Ray.
LIBRARIES = (
    "torch.distributed.fsdp",
    "torch._dynamo",
    "torch.utils.tensorboard",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.qwen3_moe.modeling_qwen3_moe",
    "tensordict",
    "torchdata.stateful_dataloader",
    "pyarrow.parquet",
    "datasets",
    "hydra",
    "aiohttp",
    "fastapi",
    "uvicorn",
    "zmq",
    "peft",
    "vllm",
    "vllm.config",
    "vllm.v1.worker.cpu_worker",
    "vllm.entrypoints.launchers.api_server.entry",
    "compressed_tensors",
)


def import_once(device: Literal["cpu", "gpu"], ray_address: str | None) -> None:
    """Let this command's further Python processes on this machine be forks of one that has imported the libraries.

    Nothing on a GPU: there cores are many, and a driver's state does not survive a fork. Nothing in a cluster of
    others: its workers are started by the cluster.
    """
    if device == "cpu" and not ray_address:
        start_server(LIBRARIES, environment(device, 1.0) | beside_compiled_code())


def beside_compiled_code() -> dict[str, str]:
    """The server's temporary folder, where a folder of compiled code is given.

    torch fixes the place of its precompiled headers at the import, in the temporary folder. A fork has its own one.
    """
    compiled = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    if not compiled:
        return {}
    Path(compiled).mkdir(parents=True, exist_ok=True)
    return {"TMPDIR": compiled}
