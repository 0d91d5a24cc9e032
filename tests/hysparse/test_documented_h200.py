"""Figures of kernels, placements and long prompts in the docs are those of the records of one H200."""

import hashlib
import json
import re

import pytest

from benchmarks.hysparse.kernels.index_files import read, stored
from benchmarks.hysparse.kernels.indices import jaccard_of_all
from judgerlvr.config.load import ROOT

RECORDS = ROOT / "benchmarks" / "results"
KERNELS = RECORDS / "hysparse-kernels-h200-2026-11-30"
CONTEXTS = ("32768", "65536", "131072")
KINDS = {"union tiles": "union", "by overlap": "chosen"}
SOURCES = {"trained": "trained, language-131072", "overlap 0.9": "overlap 0.9"}
PARTS = {"forward": "", "forward and backward": " + backward"}
STACKS = {"prefill of 36 layers at 1:3 (9 measured blocks)": "", "the same with backward": " + backward"}


def cells(line):
    return [cell.strip() for cell in line.strip("|\n").split("|")]


def documented(page, beginning):
    """Cells of the page's row that begins so."""
    return next(cells(line) for line in (ROOT / page).read_text().splitlines() if line.startswith(f"| {beginning} |"))


def recorded():
    """Rows of the table that the run wrote."""
    return [cells(line) for line in (KERNELS / "table.md").read_text().splitlines() if line.startswith("| ")]


def row(context, what, source):
    """The row whose name, options left out, is ``what``."""
    for found in recorded():
        name = re.sub(r" spread=\S+", "", found[2]) if len(found) > 4 else ""
        if (found[0], name, found[3:4]) == (context, what, [SOURCES[source]]):
            return found
    raise LookupError(what)


def near(shown):
    """What the docs show, to the last digit that they show."""
    return pytest.approx(float(shown), abs=0.51 * 10 ** -len(shown.partition(".")[2]))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", SOURCES)
def test_milliseconds_of_a_layer(part, kind, source):
    told = documented("docs/hysparse.md", f"{part}, ms, {kind} | {source}")[2:5]
    found = [float(row(context, KINDS[kind] + PARTS[part], source)[4]) for context in CONTEXTS]
    assert found == [near(shown) for shown in told]


@pytest.mark.parametrize("part", STACKS)
@pytest.mark.parametrize("kind", KINDS)
def test_ratios_of_36_layers(part, kind):
    told = documented("docs/hysparse.md", f"{part}, {kind} | trained")[2:5]
    what = f"{KINDS[kind]}: derived: 36 layers, 9 measured blocks{STACKS[part]}"
    assert told == [row(context, what, "trained")[-1].split()[0] for context in CONTEXTS]


def test_goals_are_told_as_reached_and_missed():
    """Every goal, stretch goals too, is judged by the documented figures themselves."""
    text = (ROOT / "docs" / "hysparse.md").read_text()
    section = text[text.index("### KV-outer kernels") : text.index("## Use of the selection")]
    judged = 0
    for line in section.splitlines():
        for goal in re.findall(r"([<>]=) ([\d.x/ ]+): (reached|missed)", line):
            limits = [float(limit) for limit in re.findall(r"[\d.]+", goal[1])]
            values = [float(cell.rstrip("x")) for cell in cells(line)[2:5]]
            met = [v <= m if goal[0] == "<=" else v >= m for v, m in zip(values, limits, strict=True)]
            assert met == [goal[2] == "reached"] * 3, line
            judged += 1
    assert judged == 5


def test_goals_by_trained_choices_name_the_contexts_whose_choices_are_as_the_goals_ask():
    shown = documented("docs/hysparse.md", "Jaccard of neighbours, last 2,048 queries | trained")[2:5]
    alike = [context for context, value in zip(("32k", "64k", "128k"), shown, strict=True) if float(value) > 0.28]
    text = (ROOT / "docs" / "hysparse.md").read_text()
    goals = [told for told in re.findall(r"\| trained \|.*?: (reached[^|]*) \|", text)]
    assert alike == ["32k", "64k"] and len(goals) == 3
    assert all(told.startswith("reached at 128k, and at 32k and 64k by choices more alike") for told in goals)


@pytest.mark.parametrize(
    ("what", "column"), [("Jaccard of neighbours, last 2,048 queries", 3), ("union of 16 queries, blocks", 2)]
)
def test_overlap_of_the_committed_choices(what, column):
    told = documented("docs/hysparse.md", f"{what} | trained")[2:5]
    found = [cell for context in CONTEXTS for cell in recorded() if cell[:2] == [context, SOURCES["trained"]]]
    assert told == [cell[column] for cell in found]


def test_overlap_of_all_queries_that_were_timed():
    told = documented("docs/hysparse.md", "Jaccard of neighbours, all queries | trained")[2:5]
    file = KERNELS / "language-131072.zip"
    found = [jaccard_of_all(stored(file, int(context), 8, 64, "cpu")) for context in CONTEXTS]
    assert found == [near(shown) for shown in told]


def test_the_committed_choices_are_those_that_were_timed():
    file = KERNELS / "language-131072.zip"
    assert hashlib.sha256(file.read_bytes()).hexdigest() in (KERNELS / "table.md").read_text()
    assert read(file)[0].shape == (1, 3, 131_072, 16)


def curve(page, architecture, texts, count):
    """Searched, first layers and even placement of a page of the second shape's record."""
    page = (RECORDS / "hysparse-second-shape-h200-2026-11-30" / page).read_text()
    section = page.partition(f"## {architecture}\n")[2].partition(f"### {texts}:")[2]
    return cells(re.search(rf"^\| {count} \|.*", section, re.MULTILINE)[0])[3:6]


@pytest.mark.parametrize(
    ("said", "page", "architecture", "sets", "count"),
    [
        ("Qwen3, 4 of 12", "page.md", "qwen3", "mixed solving judging", 4),
        ("Qwen3, 3 of 12", "page.md", "qwen3", "mixed solving judging", 3),
        ("Qwen3-MoE, 6 of 12", "page.md", "qwen3_moe", "mixed", 6),
        ("Qwen3-MoE, 6 of 12, on a CPU", "cpu-mixture.md", "qwen3_moe", "mixed solving judging", 6),
    ],
)
def test_losses_of_12_layers(said, page, architecture, sets, count):
    told = documented("docs/hysparse.md", said + " | " + sets.replace(" ", ", "))[2:5]
    found = zip(*(curve(page, architecture, texts, count) for texts in sets.split()), strict=True)
    assert told == [", ".join(values) for values in found]


def test_speed_on_long_prompts():
    stored = json.loads((RECORDS / "hysparse-long-rl-h200-2026-11-30" / "long-rl.json").read_text())
    names = {"sampling, s": "gen", "log-probabilities, s": "old_log_prob", "update, s": "update_actor"}
    steps = [stored["steps"][policy][1]["seconds"] for policy in ("hysparse", "full")]
    for said, name in names.items():
        told = documented("docs/hysparse-rl.md", said)
        assert told[1:3] == [f"{seconds[name]:.2f}" for seconds in steps]
        rates = [stored["rates"][policy][name] for policy in ("hysparse", "full")]
        assert told[3].split()[0] == f"{rates[0] / rates[1]:.2f}"
    whole = [stored["rates"][policy]["step"] for policy in ("hysparse", "full")]
    assert documented("docs/hysparse-rl.md", "whole step, tokens/s")[1:] == [
        *(f"{rate:,.0f}" for rate in whole), f"{whole[0] / whole[1]:.2f}",
    ]  # fmt: skip


def test_accuracy_before_long_prompts():
    stored = json.loads((RECORDS / "hysparse-long-rl-h200-2026-11-30" / "long-rl.json").read_text())["sft"]
    told = documented("docs/hysparse-rl.md", "accuracy before RL, 512 fresh problems")
    found = [stored[policy]["accuracy"] for policy in ("hysparse", "full")]
    assert told[1:3] == [f"{one['sampled']:.3f} ± {1.96 * one['sampled_error']:.3f}" for one in found]
    apart = 100 * (found[0]["sampled"] - found[1]["sampled"])
    assert told[3].startswith(f"{apart:.1f} points apart (± ")


def test_gaps_of_kv_outer_kernels_inside_vllm():
    record = (RECORDS / "hysparse-vllm-kv-outer-h200-2026-11-30.md").read_text()
    gaps = re.findall(r"^\| (?:mean|the same) gap .*\| ([\d.]+) \|$", record, re.MULTILINE)
    page = " ".join((ROOT / "docs" / "hysparse-vllm.md").read_text().split())
    told = "gap of log-probabilities to float32 was {}, and transformers in bfloat16 has {} ([record]"
    assert told.format(*gaps) in page
    assert float(re.search(r"^\| limit.*\| ([\d.]+) \|$", record, re.MULTILINE)[1]) == round(
        1.5 * float(gaps[1]) + 0.01, 4
    )


def test_the_documented_union_is_the_one_at_which_the_kernel_changes():
    """In blocks too, at the page's blocks a query. The source is read as text, since a CPU may lack Triton."""
    code = (ROOT / "judgerlvr/hysparse/ops/triton/overlap.py").read_text()
    [spread] = map(float, re.findall(r"^    spread: float = (\S+)$", code, re.MULTILINE))
    page = " ".join((ROOT / "docs/hysparse.md").read_text().split())
    told = re.search(r"From ([\d.]+) times on, .*? That is (\d+) blocks of 16 queries at (\d+) blocks a query", page)
    assert told is not None
    assert (float(told[1]), int(told[2])) == (spread, int(spread * int(told[3])))
