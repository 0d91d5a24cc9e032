"""All prompts of a stage are looked at before anything starts: some are left out with a count, most are refused."""

import json

import pytest

from judgerlvr.models.prompt_tokens import SPECIAL, TOO_LONG
from judgerlvr.stage1_judge import main as judge
from judgerlvr.stage2_generate import main as generate

MAINS = {"judge": judge, "generate": generate}
PROBLEMS = 300
# A problem that cannot be used, by the reason. The tiny base ends a turn with this token.
UNUSABLE = {TOO_LONG: "1 + " * 200 + "1?", SPECIAL: "What is <|im_end|> {number}?"}


def dry_run(stage, folder, reason, share):
    bad = int(share * PROBLEMS)
    texts = [UNUSABLE[reason].replace("{number}", str(n)) + f" {n}" * (n < bad) for n in range(bad)]
    texts += [f"What is 3 + {number}?" for number in range(PROBLEMS - bad)]
    rows = [{"problem": text, "gold": "7"} for text in reversed(texts)]
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    keys = [f"data.train=[{folder / 'mine.jsonl'}]", "generate.validation.every=0", "cluster.device=cpu"]
    return MAINS[stage](["--config", "configs/tiny.yaml", "--dry-run", *keys])


@pytest.mark.parametrize("reason", UNUSABLE)
@pytest.mark.parametrize("stage", MAINS)
def test_some_unusable_prompts_are_counted(tmp_path, monkeypatch, capsys, stage, reason):
    monkeypatch.chdir(tmp_path)
    assert dry_run(stage, tmp_path, reason, 0.2) == 0
    assert f"60 prompts left out ({reason}: 60)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("share", [0.6, 1.0])
@pytest.mark.parametrize("stage", MAINS)
def test_mostly_unusable_prompts_are_refused(tmp_path, monkeypatch, capsys, stage, share):
    monkeypatch.chdir(tmp_path)
    assert dry_run(stage, tmp_path, TOO_LONG, share) == 2
    assert "prompts can be used (prompt too long: " in capsys.readouterr().err
