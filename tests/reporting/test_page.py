"""The whole page: a single file, offline, escaped and complete."""

import base64
import hashlib
import re

import pytest

from judgerlvr.report import main
from judgerlvr.reporting.page import asset, environment, hash_source
from judgerlvr.runs.metrics import METRICS, append_row
from tests.helpers.report_runs import write_run, write_three
from tests.helpers.run_folders import step_row

NAN = float("nan")
PARTS = (
    "Answer",
    "Results",
    "Training",
    "Problems that changed",
    "Lengths",
    "Verdicts",
    "Reasons",
    "Transition words",
    "Responses side by side",
    "Rollout browser",
    "Cost",
    "Settings that differ",
    "Runs and data",
)


def test_a_page_refers_to_nothing_outside(page, tree):
    assert "http://" not in page and "https://" not in page and "@import" not in page
    assert not tree.of("img", "link", "iframe", "object", "base")
    assert all(e.attributes["href"].startswith("#") for e in tree.of("a", "use"))


def test_texts_of_models_and_names_are_escaped(page, tree):
    assert "<script>alert" not in page and "<b>wrong" not in page
    assert sum("alert('x')" in element.text for element in tree.of("pre")) > 0


def test_the_policy_of_the_page_allows_its_own_script_alone(page):
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert len(script) == 1
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page
    assert hash_source(asset("page.js")) == f"sha256-{digest}"


def test_the_contents_list_every_section(tree):
    listed = [e.text for e in tree.of("a") if e.inside("ol") and not e.inside("ul")]
    assert tuple(listed) == PARTS


@pytest.mark.parametrize("arm", ["base", "after judge", "JudgeRLVR", "vanilla"])
def test_every_arm_has_a_sampled_and_a_greedy_row(tree, arm):
    table = next(e for e in tree.of("table") if e.children[0].text == "All evaluated models")
    heads = [e.text for e in tree.of("th") if table in e.ancestors and e.attributes.get("scope") == "row"]
    assert heads.count(f"{arm} sampled") == heads.count(f"{arm} greedy") == 1


def test_the_answer_has_a_figure_of_accuracy_length_and_judging(tree):
    answer = next(e for e in tree.of("section") if e.attributes["id"] == "answer")
    captions = [e.text for e in tree.of("figcaption") if answer in e.ancestors]
    assert [text.partition(".")[0] for text in captions] == [
        "Accuracy of solutions",
        "Length of solutions",
        "Judging of given solutions",
    ]


def test_figures_of_the_answer_show_the_numbers_of_the_table(tree):
    """Values over bars are text, which the shortening of coordinates must not touch."""
    table = next(e for e in tree.of("table") if e.children[0].text == "All evaluated models")
    cells = " ".join(e.text for e in tree.of("td") if table in e.ancestors)
    figure = next(e for e in tree.of("figure") if "Accuracy of solutions" in e.text)
    shown = [e.text for e in tree.of("text") if figure in e.ancestors and re.fullmatch(r"\d\.\d{3}", e.text)]
    assert len(shown) == 8
    assert all(value in cells for value in shown)


def test_a_stamp_names_one_seed_and_a_length_term(tree):
    stamps = [e.text for e in tree.of("p") if e.attributes.get("class") == "stamp"]
    assert "one seed: not evidence" in stamps
    assert any("vanilla: length_term: yes" in text for text in stamps)


def test_a_run_with_values_that_are_no_numbers_is_a_page_that_says_so(tmp_path):
    """A value that is not finite, a series that never is, and a run that was stopped by the guard."""
    bad = {"actor/grad_norm": NAN, "actor/entropy": float("inf"), "actor/pg_loss": -float("inf")}
    run = tmp_path / "judge"
    write_run(run, "judge", 2, 0.5, 0.6, export=None, model_hash=None)
    append_row(run / METRICS, step_row(3, "judge", more=bad))
    assert main([str(run), "--out", str(tmp_path / "r.html")]) == 0
    page = (tmp_path / "r.html").read_text()
    assert "judge: failed: step 3: actor/entropy is inf" in page
    assert "A cross marks a step without a finite value (steps: 1)." in page


def test_templates_refuse_a_name_that_is_not_given():
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        environment().from_string("{{ absent }}").render()


@pytest.mark.parametrize("made", [False, True])
def test_nothing_to_report_is_one_line_and_exit_2(tmp_path, capsys, made):
    folder = tmp_path / "empty"
    if made:
        folder.mkdir()
    assert main([str(folder), "--out", str(tmp_path / "r.html")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_run_given_twice_is_one_line_and_exit_2(tmp_path, capsys):
    folder = write_three(tmp_path)[0]
    assert main([str(folder), f"{folder.parent}/./{folder.name}", "--out", str(tmp_path / "report.html")]) == 2
    assert "given twice" in capsys.readouterr().err


def test_damaged_metrics_name_file_and_row(tmp_path, capsys):
    write_run(tmp_path / "judge", "judge", 2, 0.5, 0.6)
    (tmp_path / "judge" / METRICS).write_text('{"step": 1}\nnot json\n{"step": 2}\n')
    assert main([str(tmp_path / "judge"), "--out", str(tmp_path / "r.html")]) == 2
    assert "metrics.jsonl, row 2" in capsys.readouterr().err


def test_a_damaged_summary_is_one_line_and_exit_2(tmp_path, capsys):
    write_run(tmp_path / "judge", "judge", 2, 0.5, 0.6)
    (tmp_path / "judge" / "eval" / "final").mkdir(parents=True)
    (tmp_path / "judge" / "eval" / "final" / "summary.json").write_text('{"results": [{}]}')
    assert main([str(tmp_path / "judge"), "--out", str(tmp_path / "r.html")]) == 2
    assert "summary.json" in capsys.readouterr().err
