"""The report over synthetic run folders: complete ones, and ones with parts missing."""

import random
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from judgerlvr.evaluation.records import Record
from judgerlvr.evaluation.run import Evaluation, Settings, write_evaluation
from judgerlvr.evaluation.summary import summarise
from judgerlvr.report import main
from judgerlvr.sampling.decoding import Decoding
from tests.helpers.run_folders import step_row, write_run_folder

HOSTILE = "<script>alert('x')</script><img src=q>&{{body}}"


def make_record(draw, kind, problem, sample, decoding, right, mean_tokens):
    score = float(draw.random() < right)
    label = None if kind == "generate" else problem % 2 == 0
    verdict = None if label is None else label == bool(score)
    tokens = max(4, int(draw.gauss(mean_tokens, mean_tokens / 4)))
    return Record(
        set="heldout",
        kind=kind,
        decoding=decoding.name,
        id=f"p{problem}",
        problem_id=f"p{problem}",
        sample=sample,
        prompt=f"mod 30\na={problem}\n{HOSTILE}",
        response=f"<think>\nb={problem}+1=3\nwait\nhmm\n</think>\n{HOSTILE}\n\\boxed{{{sample}}}",
        answer=str(sample),
        gold="7",
        label=label,
        verdict=verdict,
        score=score,
        reason="correct" if score else "wrong",
        seconds=0.001,
        tokens=tokens,
        thinking_tokens=tokens // 2,
        finish_reason="length" if not score and sample == 0 else "stop",
        mean_logprob=-0.4,
        seed=1,
    )


def write_synthetic_evaluation(folder, right, judge_right, mean_tokens, seed=0):
    draw = random.Random(seed)
    evaluation, settings = Evaluation(), Settings(Decoding(n=4, max_tokens=128))
    for decoding in settings.decodings:
        for kind, chance in (("generate", right), ("judge", judge_right)):
            records = [
                make_record(draw, kind, problem, sample, decoding, chance, mean_tokens)
                for problem in range(60)
                for sample in range(decoding.n)
            ]
            evaluation.records += records
            evaluation.results.append(summarise(records, decoding))
    summary = evaluation.summary(settings, [])
    write_evaluation(folder, evaluation, summary)


def write_run(folder, stage, steps, start, end, parent=None, length_term="no"):
    rows = []
    for step in range(1, steps + 1):
        share = step / steps
        changing = {
            "response/accuracy": start + (end - start) * share,
            "response/mean_tokens": 60 - 20 * share,
            "budget/generated_tokens": 15000.0 * step,
            "actor/entropy": 0.6 - 0.3 * share,
            "validation/accuracy/generate": start + (end - start) * share - 0.02,
        }
        rows.append(step_row(step, stage, more=changing))
    facts = {"steps": 10 * steps, "seed": 0, "length_term": length_term, "model_hash": f"{len(folder.name):064x}"}
    versions = {"verl": "0.9.1"}
    write_run_folder(folder, stage, rows, parent, versions=versions, git_commit="0" * 40, **facts)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """Judge, JudgeRLVR and vanilla at equal steps, the base evaluated in the judge run."""
    folder = tmp_path_factory.mktemp("runs")
    judge, generate, vanilla = (folder / name for name in ("judge", "generate", "vanilla"))
    write_run(judge, "judge", 8, 0.6, 0.85)
    write_run(generate, "generate", 16, 0.45, 0.9, {"path": "ckpt/judge", "run": "judge", "hash": "a" * 64})
    write_run(vanilla, "generate", 24, 0.3, 0.88, None, "yes")
    write_synthetic_evaluation(judge / "eval" / "base", 0.3, 0.6, 70)
    write_synthetic_evaluation(judge / "eval" / "final", 0.5, 0.85, 55)
    write_synthetic_evaluation(generate / "eval" / "final", 0.9, 0.8, 38)
    write_synthetic_evaluation(vanilla / "eval" / "final", 0.88, 0.7, 46)
    return folder


@pytest.fixture
def runs(written: Path, tmp_path: Path) -> list[Path]:
    """A copy that the test may damage."""
    return [Path(shutil.copytree(written / name, tmp_path / name)) for name in ("judge", "generate", "vanilla")]


def build(folders, out: Path) -> str:
    assert main([*map(str, folders), "--out", str(out)]) == 0
    return out.read_text()


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_well_formed_offline_and_escaped(runs, tmp_path):
    page = build(runs, tmp_path / "r.html")
    parser = _Tags()
    parser.feed(page)
    assert parser.open == []
    assert not {"script", "img", "link", "iframe"} & set(parser.tags)
    assert "http" not in page


def test_all_four_arms_have_a_sampled_and_a_greedy_row(runs, tmp_path):
    page = build(runs, tmp_path / "r.html")
    results = page.split("<h2>Results</h2>")[1].split("<h2>")[0]
    for arm in ("base", "after judge", "JudgeRLVR", "vanilla"):
        assert results.count(f"<tr><th>{arm}</th>") == 2, arm
    assert results.count("<td>greedy, n=1") == 4


def test_equal_steps_pair_counts_the_judging_stage(runs, tmp_path):
    page = build(runs, tmp_path / "r.html")
    matched = page.split("at equal budgets</h2>")[1].split("<h2>")[0]
    assert "<td>JudgeRLVR (generate)</td><td>24</td><td>360,000</td>" in matched
    assert "difference" in matched


def test_stamps_one_seed_and_length_term(runs, tmp_path):
    page = build(runs, tmp_path / "r.html")
    assert "one seed: not evidence" in page
    assert "length_term: yes (vanilla)" in page


def test_what_is_absent_is_not_run_and_no_number(tmp_path):
    write_run(tmp_path / "judge", "judge", 2, 0.5, 0.6)
    page = build([tmp_path / "judge"], tmp_path / "r.html")
    results = page.split("<h2>Results</h2>")[1].split("<h2>")[0]
    for arm in ("base", "after judge", "JudgeRLVR", "vanilla"):
        row = results.split(f"<tr><th>{arm}</th>")[1].split("</tr>")[0]
        assert set(row.replace("<td class='absent'>", "").split("</td>")) == {"not run", ""}


def test_last_line_cut_by_a_crash_is_left_out_and_repeated_steps_count_once(runs, tmp_path):
    path = runs[0] / "metrics.jsonl"
    last = path.read_text().rstrip("\n").split("\n")[-1]
    path.write_text(path.read_text() + last + "\n" + last[:20])
    page = build(runs, tmp_path / "r.html")
    assert "<td>JudgeRLVR (generate)</td><td>24</td><td>360,000</td>" in page


@pytest.mark.parametrize("content", ["", None])
def test_nothing_to_report_is_one_line_and_exit_2(tmp_path, capsys, content):
    folder = tmp_path / "empty"
    if content is not None:
        folder.mkdir()
    assert main([str(folder), "--out", str(tmp_path / "r.html")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_damaged_metrics_name_file_and_row(runs, tmp_path, capsys):
    (runs[0] / "metrics.jsonl").write_text('{"step": 1}\nnot json\n{"step": 2}\n')
    assert main([str(runs[0]), "--out", str(tmp_path / "r.html")]) == 2
    assert "metrics.jsonl, row 2" in capsys.readouterr().err
