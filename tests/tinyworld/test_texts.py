"""Texts to learn: a row is one example of the base model's training, and a seed repeats its file."""

from data.row_files import read_rows
from judgerlvr.tinyworld.making.texts import main


def test_rows_hold_a_prompt_and_its_response_and_repeat(tmp_path):
    for name, seed in (("one", "3"), ("again", "3"), ("other", "4")):
        assert main([str(tmp_path / f"{name}.jsonl"), "--count", "20", "--seed", seed]) == 0
    one, again, other = (read_rows(tmp_path / f"{name}.jsonl") for name in ("one", "again", "other"))
    assert one == again != other
    assert all(row["prompt"].endswith("assistant\n") and row["text"].endswith("<|im_end|>") for row in one)
    judged = [row for row in one if "</think>\n\\boxed{No}" in row["text"] or "</think>\n\\boxed{Yes}" in row["text"]]
    assert 0 < len(judged) < len(one)


def test_an_empty_file_is_refused(tmp_path, capsys):
    assert main([str(tmp_path / "texts.jsonl"), "--count", "0"]) == 2
    assert "--count" in capsys.readouterr().err
