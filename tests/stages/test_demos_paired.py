"""Two demos of each commit, paired by prompt: differences by hand."""

import json

import pytest

from benchmarks.stages.demos_paired import differences, means, table
from benchmarks.stages.learning import ARMS


def demo(folder, scores, tokens):
    """A demo whose policies all answer two prompts alike, with two samples each, and one greedy sample."""
    for pattern in ARMS.values():
        out = folder / pattern.replace("*", "20")
        out.mkdir(parents=True)
        rows = [
            {"kind": kind, "decoding": decoding, "prompt": prompt, "score": score, "tokens": tokens}
            for prompt, pair in scores.items()
            for kind, decoding, score in [
                *(("generate", "T=1", one) for one in pair),
                ("generate", "greedy", 1.0),
                ("judge", "T=1", 1.0),
            ]
        ]
        (out / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_samples_at_temperature_1_of_solving_count_alone(tmp_path):
    folder = demo(tmp_path / "a", {"p": (0.0, 1.0), "q": (1.0, 1.0)}, 9)
    assert means(folder / ARMS["JudgeRLVR"], "score", 100.0) == {"p": 50.0, "q": 100.0}


def test_the_difference_is_after_less_before():
    assert differences({"p": 50.0, "q": 100.0}, {"q": 90.0, "p": 100.0}) == [50.0, -10.0]


def test_other_problems_are_refused():
    with pytest.raises(ValueError, match="2 problems"):
        differences({"p": 1.0}, {"q": 1.0})


def test_seeds_are_paired_in_their_order(tmp_path):
    before = [demo(tmp_path / f"old-{seed}", {"p": (0.0, 0.0), "q": (0.0, 1.0)}, 10) for seed in (1, 2)]
    after = [
        demo(tmp_path / "new-1", {"p": (1.0, 1.0), "q": (0.0, 1.0)}, 12),
        demo(tmp_path / "new-2", {"p": (0.0, 0.0), "q": (1.0, 1.0)}, 13),
    ]
    lines = table(before, after)
    assert lines[0] == "| policy | figure | before | new-1 | new-2 | all problems | over seeds |"
    accuracy, tokens = (line for line in lines if line.startswith("| JudgeRLVR |"))
    assert all(f"{mean} [" in accuracy for mean in ("+50.0", "+25.0", "+37.5"))
    # 2.5 -+ 3.182 * 0.577 / 2 over four problems, and 2.5 -+ 12.706 * 0.707 / sqrt(2) over two seeds
    assert "| +2.0 | +3.0 | +2.5 [+1.6, +3.4] | +2.5 [-3.9, +8.9] |" in tokens
