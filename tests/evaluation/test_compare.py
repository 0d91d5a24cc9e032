"""The command that compares two evaluations: matching of sets, refusals, and the three formats."""

import json
from dataclasses import fields, replace
from html.parser import HTMLParser

import pytest

from judgerlvr import compare as command
from judgerlvr.compare import main
from judgerlvr.evaluation.conditions import CONDITIONS
from judgerlvr.evaluation.records import Record
from judgerlvr.evaluation.run import Evaluation, Settings, write_evaluation
from judgerlvr.evaluation.summary import summarise
from judgerlvr.sampling.decoding import Decoding
from tests.helpers.json_damage import damaged
from tests.helpers.records import samples

DECODING = Decoding(n=4, max_tokens=64)


def write(folder, sets, decoding=DECODING, settings=None, engine=None, **changes):
    """An evaluation with the given scores: set name -> problem -> a character for each sample."""
    evaluation = Evaluation(engine=engine or {})
    for name, problems in sets.items():
        about = {"set": name, "decoding": decoding.name, "prompt": "solve", **changes}
        rows = [record for problem, scores in problems.items() for record in samples(problem, scores, **about)]
        evaluation.records += rows
        evaluation.results.append(summarise(rows, decoding))
    write_evaluation(folder, evaluation, evaluation.summary(settings or Settings(decoding), []))
    return folder


SETS = {"x/test.jsonl": {"a": "1111", "b": "1100"}, "y/test.jsonl": {"c": "0000", "d": "1000"}}
WORSE = {"/z/test.jsonl": {"c": "1111", "d": "1111"}, "/x/test.jsonl": {"a": "0000", "b": "1100"}}


@pytest.fixture
def ours(tmp_path):
    return write(tmp_path / "ours", SETS)


def run(tmp_path, ours, theirs, *more):
    code = main([str(ours), str(theirs), "--out", str(tmp_path / "t.json"), *more])
    path = tmp_path / "t.json"
    return code, json.loads(path.read_text()) if path.exists() else None


def test_sets_are_matched_by_their_items_whatever_their_path(tmp_path, ours):
    code, found = run(tmp_path, ours, write(tmp_path / "theirs", WORSE))
    assert code == 0
    matched = [(row["set"], row["set_of_theirs"], row["difference"]["value"]) for row in found["sets"]]
    assert matched == [("x/test.jsonl", "/x/test.jsonl", 0.5), ("y/test.jsonl", "/z/test.jsonl", -0.875)]
    assert found["sets"][0]["gained"] == ["a"] and found["sets"][1]["lost"] == ["c", "d"]


def test_equal_items_match_by_name(tmp_path):
    problems = {"a": "1111"}
    ours = write(tmp_path / "ours", {"m1": problems, "m2": problems})
    _, found = run(tmp_path, ours, write(tmp_path / "theirs", {"m2": problems, "m1": problems}))
    assert [(row["set"], row["set_of_theirs"]) for row in found["sets"]] == [("m1", "m1"), ("m2", "m2")]


def test_p_values_are_corrected_over_sets(tmp_path, ours):
    _, found = run(tmp_path, ours, write(tmp_path / "theirs", WORSE))
    plain = [row["test"]["p"] for row in found["sets"]]
    assert plain == [1.0, 0.5]
    assert [row["holm_p"] for row in found["sets"]] == [1.0, 1.0]


def test_a_set_of_one_side_is_named(tmp_path, ours, capsys):
    _, found = run(tmp_path, ours, write(tmp_path / "theirs", {"x": SETS["x/test.jsonl"]}))
    assert found["alone"] == {"ours": ["generate y/test.jsonl"], "theirs": []}
    assert "only in ours: generate y/test.jsonl" in capsys.readouterr().out


DIFFERENT = {
    "prompt": dict(prompt="other"),
    "gold": dict(gold="2"),
    "verifier": dict(settings=Settings(DECODING, extraction="lenient")),
    "decoding": dict(decoding=Decoding(n=4, max_tokens=64, temperature=0.6)),
    "limit": dict(decoding=Decoding(n=4, max_tokens=128)),
    "n": {},
    "engine": dict(engine={"quantization": "fp8"}),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_differing_condition_is_refused_then_stamped(tmp_path, ours, capsys, name):
    sets = {"x/test.jsonl": {"a": "11" if name == "n" else "1111", "b": "1100"}}
    theirs = write(tmp_path / "theirs", sets, **DIFFERENT[name])
    assert run(tmp_path, ours, theirs) == (2, None)
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and f"--allow-different {name}" in message
    code, found = run(tmp_path, ours, theirs, "--allow-different", name)
    assert (code, list(found["sets"][0]["different"])) == (0, [name])
    printed = capsys.readouterr().out
    assert f"DIFFERENT {name.upper()}" in printed and f"x/test.jsonl ({name} differ)" in printed


def test_another_seed_and_another_grader_size_may_differ(tmp_path, ours):
    decoding = Decoding(n=4, max_tokens=64, seed=7)
    theirs = write(tmp_path / "theirs", SETS, decoding, Settings(decoding, workers=9))
    assert run(tmp_path, ours, theirs)[0] == 0


def test_a_differing_scorer_of_a_task_is_a_differing_verifier(tmp_path, ours, capsys):
    theirs = write(tmp_path / "theirs", SETS)
    summary = json.loads((theirs / "summary.json").read_text())
    summary["tasks"] = {"y/test.jsonl": {"scorer": "grid"}}
    (theirs / "summary.json").write_text(json.dumps(summary))
    assert run(tmp_path, ours, theirs) == (2, None)
    assert (
        "y/test.jsonl: the two evaluations differ: verifier: verifier rewards.math:verify against grid"
        in capsys.readouterr().err
    )


def test_every_condition_is_an_option_and_is_tried():
    assert command.CONDITIONS == tuple(CONDITIONS) == tuple(DIFFERENT)


# Fields that may differ: how much ran at once, what the summary alone reads, the name of a file, and the seed.
FREE = {"seed", "workers", "min_check_tokens", "prompt", "decoding"}
# What a response is, and what the grader found in it. Two models differ in these.
FOUND = {
    *("answer", "verdict", "score", "reason", "seconds", "tokens", "thinking_tokens", "finish_reason"),
    *("response", "mean_logprob", "sample", "decoding"),
}


def other(value):
    """Another value of the same type, or of a type that the field may have."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, str):
        return {"strict": "lenient"}.get(value, f"{value}x")
    return (*value, "x") if isinstance(value, tuple) else value + 1 if isinstance(value, int) else value / 2


def codes(tmp_path, kind, decoding=DECODING, settings=None, changed=None):
    """The exit code of a comparison of two judges or two generators of which the second has other values."""
    about = {"kind": kind, **({"label": True} if kind == "judge" else {})}
    sets = {"s": {"a": "1" * decoding.n}}
    ours = write(tmp_path / f"ours-{kind}", {"s": {"a": "1111"}}, **about)
    theirs = write(tmp_path / f"theirs-{kind}", sets, decoding, settings, **about)
    rows = [json.loads(line) | (changed or {}) for line in (theirs / "samples.jsonl").read_text().splitlines()]
    (theirs / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return main([str(ours), str(theirs)])


@pytest.mark.parametrize("field", [field.name for field in fields(Decoding)])
def test_every_field_of_a_decoding_is_compared(tmp_path, field):
    decoding = replace(DECODING, **{field: other(getattr(DECODING, field))})
    found = {codes(tmp_path, kind, decoding) for kind in ("generate", "judge")}
    assert found == ({0} if field in FREE else {2})


@pytest.mark.parametrize("field", [field.name for field in fields(Settings)])
def test_every_field_of_the_settings_is_compared_where_it_reads_responses(tmp_path, field):
    settings = Settings(DECODING)
    changed = settings if field == "decoding" else replace(settings, **{field: other(getattr(settings, field))})
    refused = {kind for kind in ("generate", "judge") if codes(tmp_path, kind, settings=changed) == 2}
    assert bool(refused) is (field not in FREE)


@pytest.mark.parametrize("field", [field.name for field in fields(Record)])
def test_every_field_of_a_record_is_an_outcome_or_compared(tmp_path, capsys, field):
    value = {"label": False, "answer": "x"}.get(field, other(getattr(samples("a", "1")[0], field)))
    code = codes(tmp_path, "generate", changed={field: value})
    message = capsys.readouterr().err
    assert code == (0 if field in FOUND | {"seed"} else 2), message
    assert message.count("\n") == (code == 2)


def test_a_context_that_cuts_below_the_limit_is_a_shorter_limit(tmp_path, ours, capsys):
    theirs = write(tmp_path / "theirs", SETS, tokens=40, finish_reason="length")
    assert run(tmp_path, ours, theirs) == (2, None)
    assert "limit: response tokens 64 against 40" in capsys.readouterr().err
    _, found = run(tmp_path, ours, theirs, "--allow-different", "limit")
    assert found["sets"][0]["ours"]["curve"]["caps"][-1] == 40


def test_engine_arguments_of_capacity_may_differ(tmp_path, ours):
    theirs = write(tmp_path / "theirs", SETS, engine={"tensor_parallel_size": 4, "max_num_seqs": 9})
    assert run(tmp_path, ours, theirs)[0] == 0


def test_several_differences_are_named_at_once(tmp_path, ours, capsys):
    theirs = write(tmp_path / "theirs", SETS, prompt="other", gold="2")
    assert run(tmp_path, ours, theirs, "--allow-different", "prompt") == (2, None)
    assert "--allow-different prompt gold" in capsys.readouterr().err


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_well_formed_and_escaped(tmp_path):
    name = "<script>x</script>|&"
    ours = write(tmp_path / "ours", {name: {"a": "1111"}})
    path = tmp_path / "t.html"
    assert main([str(ours), str(write(tmp_path / "theirs", {name: {"a": "0000"}})), "--out", str(path)]) == 0
    parser = Tags()
    parser.feed(path.read_text())
    assert parser.open == [] and not {"script", "img", "link"} & parser.seen


def test_markdown_is_what_is_printed_and_tables_have_even_rows(tmp_path, ours, capsys):
    path = tmp_path / "t.md"
    assert main([str(ours), str(ours), "--out", str(path)]) == 0
    text = path.read_text()
    assert text.strip() in capsys.readouterr().out
    for table in text.split("\n\n"):
        widths = {line.count("|") for line in table.splitlines() if line.startswith("|")}
        assert len(widths) <= 1


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "summary.json").unlink(), "no summary.json here"),
        (lambda folder: (folder / "samples.jsonl").unlink(), "no samples.jsonl here"),
        (lambda folder: (folder / "samples.jsonl").write_text(""), "no sample in it"),
        (lambda folder: (folder / "samples.jsonl").write_text("{}\n"), "row 1"),
        (lambda folder: (folder / "summary.json").write_text("{"), "not JSON"),
        (lambda folder: (folder / "summary.json").write_text("[]"), "not the summary"),
        (lambda folder: (folder / "summary.json").write_text('{"results": [{"set": 1}]}'), "not the summary"),
        (
            lambda folder: (folder / "summary.json").write_text('{"model": null, "results": []}'),
            "no row for generate set x",
        ),
    ],
)
def test_a_damaged_folder_is_one_line_and_exit_2(tmp_path, ours, capsys, damage, said):
    theirs = write(tmp_path / "theirs", SETS)
    damage(theirs)
    assert run(tmp_path, ours, theirs) == (2, None)
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and said in message and "theirs" in message


def read_parts(folder, name):
    """What the command reads of a file, and the other lines of the file."""
    text = (folder / name).read_text()
    if name == "samples.jsonl":
        first, *rest = text.splitlines()
        return json.loads(first), rest
    summary = json.loads(text)
    rows = [{key: row[key] for key in ("set", "kind", "decoding")} for row in summary["results"]]
    settings = {"verifier": "x", "extraction": "strict"}
    return {"model": {"path": "m"}, "settings": settings, "results": rows}, []


@pytest.mark.parametrize("name", ["summary.json", "samples.jsonl"])
def test_any_damage_is_one_line_or_no_matter(tmp_path, capsys, name):
    sets = {"x": {"a": "10"}}
    ours, theirs = write(tmp_path / "ours", sets), write(tmp_path / "theirs", sets)
    whole, rest = read_parts(theirs, name)
    for content in damaged(whole):
        (theirs / name).write_text("\n".join([json.dumps(content), *rest]) + "\n")
        code = main([str(ours), str(theirs)])
        message = capsys.readouterr().err
        assert (code, message.count("\n")) in ((0, 0), (2, 1)), (content, message)


def test_the_evaluations_of_a_run_are_named_where_the_run_is_given(tmp_path, ours, capsys):
    for name in ("step_22", "final"):
        write(tmp_path / "run" / "eval" / name, SETS)
    code, _ = run(tmp_path, tmp_path / "run", ours)
    message = capsys.readouterr().err
    assert code == 2 and message.count("\n") == 1
    assert f"{tmp_path}/run/eval/final or {tmp_path}/run/eval/step_22" in message


def test_nothing_in_common_is_one_line(tmp_path, ours, capsys):
    assert run(tmp_path, ours, write(tmp_path / "theirs", {"x/test.jsonl": {"q": "1111"}})) == (2, None)
    assert "no item is in both" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "said"), [("t.pdf", "no format"), ("ours/summary.json", "this file exists")])
def test_no_file_is_overwritten_and_no_format_is_guessed(tmp_path, ours, capsys, name, said):
    before = (ours / "summary.json").read_bytes()
    assert main([str(ours), str(ours), "--out", str(tmp_path / name)]) == 2
    assert said in capsys.readouterr().err
    assert (ours / "summary.json").read_bytes() == before
