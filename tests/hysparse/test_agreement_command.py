"""The comparison outside training: figures over tokens, and arguments of vLLM's engine from the command line."""

import shutil
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from judgerlvr.cli import parse_engine_options
from judgerlvr.hysparse.agreement import comparison
from judgerlvr.hysparse.agreement.__main__ import main, parse_arguments
from judgerlvr.hysparse.agreement.comparison import SequenceComparison, check_tokens, figures, read_model_config
from judgerlvr.hysparse.agreement.engine_start import check_names, engine_settings, started
from judgerlvr.hysparse.agreement.measures import Agreement
from judgerlvr.tinyworld.making.checkpoint import base_path
from rewards.errors import CommandFailed, InputError
from tests.helpers.checkpoint_faults import edit_config

BASE = base_path("hysparse")


def compared(gaps, differing, must):
    """A sequence of one layer and one KV head whose rows all see the response's tokens. Row 0 samples none."""
    differing, rollout = torch.tensor(differing), torch.zeros(len(gaps))
    same = ~torch.cat([torch.tensor([False]), differing])[None, :, None]
    own = rollout - torch.tensor(gaps)
    return SequenceComparison(rollout, own, rollout, Agreement(torch.tensor(must), same), differing)


# The short sequence agrees throughout, so its one token counts in the agreeing rows alone.
SEQUENCES = [
    compared([0.2], [False], [False, True]),
    compared([0.4, 0.6, 3.0, 5.0], [False, False, True, True], [True] * 5),
]


def test_parts_of_a_gap_add_up_to_the_whole():
    found = figures(SEQUENCES)
    share = found["response rows with a differing choice"]
    parts = (1 - share) * found["gap, agreeing rows"] + share * found["gap, differing rows"]
    assert found["gap"] == pytest.approx(parts)


def test_each_token_counts_alike():
    found = figures(SEQUENCES)
    assert found["gap"] == pytest.approx((0.2 + 0.4 + 0.6 + 3.0 + 5.0) / 5)
    assert found["rows that must choose"] == pytest.approx(6 / 7)
    assert found["equal choices"] == pytest.approx(4 / 6)
    assert found["response rows with a differing choice"] == pytest.approx(2 / 5)


def test_lines_and_their_order():
    assert list(figures(SEQUENCES)) == [
        "rows that must choose",
        "equal choices",
        "response rows with a differing choice",
        "gap, agreeing rows",
        "gap, differing rows",
        "gap",
        "KL",
        "gap with replay",
        "KL with replay",
    ]


def test_a_model_without_choices_has_the_difference_alone():
    dense = [SequenceComparison(torch.zeros(count), torch.full((count,), -gap)) for count, gap in ((1, 0.1), (3, 0.5))]
    found = figures(dense)
    assert list(found) == ["gap", "KL"] and found["gap"] == pytest.approx((0.1 + 3 * 0.5) / 4)


def settings(*pairs, on_cpu=False):
    engine = [word for pair in pairs for word in ("--engine", pair)]
    return engine_settings(parse_arguments([*engine, "DIR"]), on_cpu, choosing=True)


def test_engine_arguments_reach_the_engine():
    found = settings("enforce_eager=true", "kv_cache_memory_bytes=2e9")
    assert (found["enforce_eager"], found["kv_cache_memory_bytes"]) == (True, 2e9)


def test_an_engine_argument_wins_over_a_default():
    assert settings("gpu_memory_utilization=0.9")["gpu_memory_utilization"] == 0.9


SPOILING = ("logprobs_mode", "load_format", "quantization", "kv_cache_dtype", "hf_overrides", "model_impl", "tokenizer")
SPOILING += ("logits_processors", "disable_sliding_window", "trust_remote_code", "model_weights", "watermark_config")


@pytest.mark.parametrize("name", ["model", "dtype", "kv_transfer_config", "async_scheduling", *SPOILING])
def test_an_engine_argument_that_would_spoil_the_comparison_is_refused(name):
    with pytest.raises(InputError, match=f"--engine {name}.*leave it out"):
        settings(f"{name}=other")


def test_a_name_that_vllm_does_not_have_is_refused_with_the_nearest():
    check_names(["block_size"], ["block_size", "max_num_seqs"])
    with pytest.raises(InputError, match=r"--engine blocksize.*no such argument; did you mean block_size\?"):
        check_names(["blocksize"], ["block_size", "max_num_seqs"])


class Engine:
    """Stands for vLLM: arguments that it knows, and what its configuration or its start raises."""

    def __init__(self, refuses=None, fails=None):
        self.refuses, self.fails = refuses, fails

    def put(self, monkeypatch):
        @dataclass
        class EngineArgs:
            model: str = ""
            block_size: int = 0

            def create_engine_config(_):
                if self.refuses:
                    raise self.refuses

        def start(**_):
            if self.fails:
                raise self.fails
            return "an engine"

        modules = {"vllm": {"LLM": start, "EngineArgs": EngineArgs}, "vllm.config": {"KVTransferConfig": dict}}
        for name, content in modules.items():
            monkeypatch.setitem(sys.modules, name, SimpleNamespace(**content))
        monkeypatch.setitem(sys.modules, "judgerlvr.hysparse.vllm.checks", SimpleNamespace(check_engine=print))


def start(monkeypatch, engine, **settings):
    engine.put(monkeypatch)
    return started({"model": "DIR", **settings}, choosing=False)


def test_an_engine_that_starts_is_given_back(monkeypatch):
    assert start(monkeypatch, Engine(), block_size=16) == "an engine"


def test_an_unknown_argument_is_refused_before_the_engine(monkeypatch):
    with pytest.raises(InputError, match="no such argument"):
        start(monkeypatch, Engine(fails=AssertionError("an engine was started")), nonsense=1)


def test_a_value_that_vllm_refuses_is_told_with_vllms_reason(monkeypatch):
    engine = Engine(refuses=ValueError("a page of 24"), fails=AssertionError("an engine was started"))
    with pytest.raises(InputError, match=r"refuses the engine's arguments \(ValueError: a page of 24\); mend"):
        start(monkeypatch, engine, block_size=24)


def test_an_engine_that_does_not_start_is_told_with_its_reason(monkeypatch):
    with pytest.raises(CommandFailed, match=r"did not start \(RuntimeError: no memory\); mend --engine"):
        start(monkeypatch, Engine(fails=RuntimeError("no memory")))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("true", True),
        ("True", True),
        ("2e9", 2e9),
        ("16", 16),
        ("TRITON_ATTN", "TRITON_ATTN"),
        ('{"mode": 0}', {"mode": 0}),
        ("{mode: 0}", {"mode": 0}),
        ("a=b", "a=b"),
        ("{", "{"),
        ("", ""),
    ],
)
def test_values_of_engine_arguments(value, expected):
    assert parse_engine_options([f"key={value}"]) == {"key": expected}


@pytest.mark.parametrize("prompt", [1, 2, 100, 382, 509, 510])
def test_prompt_and_response_may_fill_the_context_and_no_more(prompt):
    """The base's context is 512 tokens."""
    config = read_model_config(BASE)
    words = [str(BASE), "--prompt-tokens", str(prompt), "--new-tokens"]
    check_tokens(parse_arguments([*words, str(512 - prompt)]), config)
    with pytest.raises(InputError, match="are 513 together, and the model's context is 512 tokens"):
        check_tokens(parse_arguments([*words, str(513 - prompt)]), config)


def test_a_stretched_context_is_the_limit(tmp_path):
    model = shutil.copytree(BASE, tmp_path / "model")
    edit_config(model, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4})
    check_tokens(
        parse_arguments([str(model), "--prompt-tokens", "1000", "--new-tokens", "24"]), read_model_config(model)
    )


@pytest.mark.parametrize("value", ["long", 0, -1, 1.5, [512], True])
def test_a_context_that_is_no_number_is_one_line(value, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(comparison, "roll_out", lambda *_: pytest.fail("an engine was started"))
    model = shutil.copytree(BASE, tmp_path / "model")
    edit_config(model, max_position_embeddings=value)
    assert main([str(model)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


REFUSED = {
    "nonsense=1": "no such argument",
    "block_size=24": "set block_size to a multiple of 16",
    "max_num_seqs=0": "vLLM refuses",
    "disable_hybrid_kv_cache_manager=true": "set disable_hybrid_kv_cache_manager=False",
}


@pytest.mark.engine
@pytest.mark.parametrize("argument", REFUSED)
def test_what_vllm_itself_refuses_is_one_line_before_a_model_is_loaded(argument, capsys, monkeypatch):
    vllm = pytest.importorskip("vllm")
    monkeypatch.setattr(vllm, "LLM", lambda **_: pytest.fail("an engine was started"))
    assert main([str(BASE), "--engine", argument]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("error:", "failed:"))]
    assert len(told) == 1 and REFUSED[argument] in told[0]


def test_a_place_without_a_model_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "config.json").mkdir(parents=True)
    for name in ("nowhere", "file", "folder", "file/deeper"):
        assert main([str(tmp_path / name)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
