"""Arguments of ``ray.init``, and what a running cluster offers."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from judgerlvr.cluster.forking.start import forking_python
from rewards.errors import InputError, one_line

# Ray counts logical CPUs when it places verl's many small actors. The actors sleep most of the time,
# so a laptop may offer more CPUs than it has cores. The number is for each training process.
LOGICAL_CPUS = 16
# Ray names the kind of each real card in a resource. A logical GPU of a CPU machine has no such resource.
REAL_CARD = "accelerator_type:"
CONNECT_SECONDS = 5.0
# Ray tries a head that refuses the token for 20 s otherwise.
JOIN_SECONDS = ("RAY_gcs_server_port_wait_time_s", "3")
# The protocol of gRPC for health, which Ray's head serves without a token.
HEALTH = "/grpc.health.v1.Health/Check"
FIELD = "RAY_ADDRESS"


def cluster_arguments(device: str, address: str | None, ranks: int = 1) -> dict[str, Any]:
    """Arguments of ``ray.init``: the running cluster at ``address``, or a private cluster on this machine.

    A CPU offers a logical GPU to each of ``ranks`` training processes, because verl asks for GPUs.
    """
    if address:
        return {"address": address}
    # Without an address Ray would join whatever cluster was last started on this machine.
    private: dict[str, Any] = {"address": "local", "include_dashboard": False}
    return private | ({"num_cpus": LOGICAL_CPUS * ranks, "num_gpus": ranks} if device == "cpu" else {})


def join(**arguments: Any) -> None:
    """``ray.init`` that leaves this process's handler of TERM in place."""
    import ray

    with _few_tries(arguments.get("address")), without_ray_s_handler():
        ray.init(**arguments)


def leave() -> None:
    """``ray.shutdown`` that leaves this process's handler of TERM in place."""
    import ray

    try:
        ray.shutdown()
    finally:
        handler = signal.getsignal(signal.SIGTERM)
        # Ray's shutdown gives the signal back to the kernel, and Python still names its handler.
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def without_ray_s_handler() -> Iterator[None]:
    """Pass over Ray's own handlers of TERM in a block that starts Ray.

    Such a handler exits without a word. Ray sets the handler seconds before the start is over.
    """
    setting = signal.signal

    def pass_over(number: int, handler: Any, /) -> Any:
        ours = number != signal.SIGTERM or not str(getattr(handler, "__module__", "")).startswith("ray.")
        return setting(number, handler) if ours else signal.getsignal(number)

    signal.signal = pass_over  # type: ignore[assignment]
    try:
        yield
    finally:
        signal.signal = setting


@contextmanager
def _few_tries(address: str | None) -> Iterator[None]:
    """Let a refusal of a running cluster come soon. A private cluster starts at its own pace."""
    name, value = JOIN_SECONDS
    if address in (None, "local") or name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def worker_python(device: str, address: str | None) -> str | None:
    """What runs the workers of a private cluster on a CPU in the place of ``python``, if a fork server is there."""
    return forking_python() if device == "cpu" and not address else None


def check_address(address: str) -> None:
    """Try an address before Ray does: Ray waits long for a dead host.

    Raises:
        InputError: the address of a dashboard, no address, a port where nothing answers, or a head that hangs.
    """
    if address.startswith(("http://", "https://")):
        remedy = "submit with python -m judgerlvr.submit, or set HOST:PORT as `ray start` prints them"
        raise InputError(f"{address} is the address of a dashboard", remedy, field=FIELD)
    if address == "local":
        remedy = "set HOST:PORT as `ray start` prints them, or unset RAY_ADDRESS"
        raise InputError("local would start a private cluster, and not use the running cluster", remedy, field=FIELD)
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        if address == "auto":
            return
        raise InputError(f"{address!r} is no HOST:PORT", "set HOST:PORT as `ray start` prints them", field=FIELD)
    try:
        _connect(host, int(port))
    except (OSError, OverflowError) as error:
        remedy = "start the cluster, correct the address, or unset RAY_ADDRESS"
        raise InputError(f"nothing answers at {address} ({one_line(error)})", remedy, field=FIELD) from error
    # Ray's client and TLS speak otherwise.
    if not address.startswith("ray://") and os.environ.get("RAY_USE_TLS", "0") == "0":
        _check_head(address)


def _check_head(address: str) -> None:
    """Ask a head for its health. The kernel takes connections for a process that hangs, and Ray waits for minutes."""
    import grpc

    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(HEALTH)(b"", timeout=CONNECT_SECONDS)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return
            problem = f"no head of Ray answers at {address} within {CONNECT_SECONDS:.0f} s ({error.code().name})"
            remedy = "start the head again, or correct the port (`ray start` prints HOST:PORT)"
            raise InputError(problem, remedy, field=FIELD) from error


def answers(address: str) -> bool:
    """Whether something listens at ``HOST:PORT``."""
    host, _, port = address.rpartition(":")
    try:
        _connect(host, int(port))
    except (OSError, ValueError, OverflowError):
        return False
    return True


def _connect(host: str, port: int) -> None:
    socket.create_connection((host.strip("[]"), port), CONNECT_SECONDS).close()


@cache
def resources_of(address: str) -> tuple[dict[str, float], ...]:
    """Resources of each living machine of a running cluster.

    Raises:
        InputError: no cluster there, or the cluster refuses this process.
    """
    check_address(address)
    import ray

    try:
        join(address=address, log_to_driver=False)
        return tuple(dict(node["Resources"]) for node in ray.nodes() if node["Alive"])
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address == "auto" and isinstance(error, ConnectionError):
            remedy = "start one with `ray start --head`, set HOST:PORT of a cluster, or unset RAY_ADDRESS"
            raise InputError("auto finds no cluster on this machine", remedy, field=FIELD) from error
        problem = f"the cluster at {address} refuses this process ({one_line(error)})"
        remedy = "use the cluster's version of Ray, and set RAY_AUTH_MODE=token where the cluster has a token"
        raise InputError(problem, remedy, field=FIELD) from error
    finally:
        leave()


def has_cards(address: str) -> bool:
    """Whether a machine of the cluster has a real GPU."""
    return any(name.startswith(REAL_CARD) for found in resources_of(address) for name in found)
