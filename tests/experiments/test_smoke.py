"""``make smoke`` calls a command that the product understands: two steps, and the stage is named."""

import shlex

from judgerlvr import stage2_generate
from judgerlvr.config.load import ROOT

SCRIPT = (ROOT / "scripts" / "smoke.sh").read_text()


def command():
    """The words behind ``python -m judgerlvr.stage2_generate``, with the script's variables filled in."""
    line = SCRIPT.partition("-m judgerlvr.stage2_generate ")[2].replace("\\\n", " ")
    return shlex.split(line.replace("${1:-qwen3_moe}", "qwen3_moe").replace('"${@:2}"', ""))


def test_make_calls_the_script_with_the_model():
    assert "smoke:\n\tscripts/smoke.sh $(MODEL)\n" in (ROOT / "Makefile").read_text()


def test_the_command_passes_a_dry_run(monkeypatch, tmp_path):
    words = [word for word in command() if word != "--new"]
    monkeypatch.chdir(ROOT)
    # In places of its own, since a smoke run of this checkout may be there.
    assert stage2_generate.main([*words, f"runs={tmp_path}", "--out", f"{tmp_path / 'policy'}", "--dry-run"]) == 0


def test_the_run_of_the_last_call_is_removed_first():
    folder = next(word for word in command() if word.startswith("runs=")).partition("=")[2]
    assert 0 < SCRIPT.index(f"rm -rf {folder}\n") < SCRIPT.index("judgerlvr.stage2_generate")


def test_two_steps_of_a_named_stage():
    assert "generate.stop.steps=2" in command()
    assert "two steps of the generate stage (stage 2)" in SCRIPT
