"""Figures of the second run of RL on long prompts, in the docs and in the record's page, are those of its files."""

import json
import re
from statistics import fmean

import pytest

from benchmarks.hysparse.long_rl.equal import paired
from benchmarks.hysparse.long_rl.figures import Step, held, paired_rate, pairs, spent, token_bytes
from benchmarks.hysparse.long_rl.policy import SMALL
from benchmarks.hysparse.recall.models import twin
from data.jsonl import read_jsonl
from judgerlvr.config.load import ROOT
from judgerlvr.hysparse.ops.kernel_shapes import prefill_reserve

FOLDER = ROOT / "benchmarks" / "results" / "hysparse-long-rl-second-h200-2026-11-30"
NAMES = ("hysparse", "full")
STORED = json.loads((FOLDER / "long-rl.json").read_text())
RUNS = {name: [Step(**step) for step in STORED["steps"][name]] for name in NAMES}
METRICS = {name: list(read_jsonl(FOLDER / f"{name}-metrics.jsonl")) for name in NAMES}
DOCS = (ROOT / "docs" / "hysparse-rl.md").read_text().partition("## Long prompts")[2].partition("\n## ")[0]
RECORD = (FOLDER / "README.md").read_text()
PAGES = {"docs": DOCS, "record": RECORD}
PARTS = {
    "sampling": "gen",
    "log-probabilities": "old_log_prob",
    "update": "update_actor",
    "whole step without checkpoint": "step",
}


def said(page):
    """The text of a page as one line."""
    return " ".join(PAGES[page].split())


def row(page, beginning):
    """Cells behind the first cell of the row that begins so."""
    line = next(line for line in PAGES[page].splitlines() if line.startswith(f"| {beginning}"))
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]


def later(left_out):
    return pairs(RUNS["hysparse"], RUNS["full"], left_out)


def seconds(part, side):
    return fmean(spent(pair[side], part) for pair in later(2))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("part", PARTS)
def test_seconds_and_ratios(page, part):
    told, key = row(page, part), PARTS[part]
    ratios = [str(paired_rate(later(left_out), key)) for left_out in (2, 1)]
    assert told == [f"{seconds(key, side):.2f}" for side in (0, 1)] + ratios


@pytest.mark.parametrize("name", NAMES)
def test_seconds_of_parts_are_those_of_the_metrics(name):
    for step, metrics in zip(RUNS[name], METRICS[name], strict=True):
        for part in ("gen", "old_log_prob", "update_actor"):
            assert step.seconds[part] == metrics[f"timing_s/{part}"]


def test_both_stages_had_the_same_prompt_tokens():
    prompts = [[step.tokens - 64 * step.response_tokens for step in RUNS[name]] for name in NAMES]
    assert prompts[0] == prompts[1]


@pytest.mark.parametrize("page", PAGES)
def test_the_whole_step_with_checkpoints(page):
    ratio = STORED["rates"]["hysparse"]["step"] / STORED["rates"]["full"]["step"]
    assert re.search(rf"whole step over steps 2 to 8 is {ratio:.2f}\b", said(page))


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md"])
def test_the_ratio_on_other_pages(page):
    assert f"ran at {paired_rate(later(2), 'step')} of" in (ROOT / page).read_text()


@pytest.mark.parametrize("page", PAGES)
def test_the_step_that_was_left_out(page):
    steps = [step.seconds["step"] for step in RUNS["hysparse"]]
    told = re.search(r"step 2 took ([\d.]+) s\D+?([\d.]+) to ([\d.]+) s", said(page))
    assert told and list(told.groups()) == [f"{s:.1f}" for s in (steps[1], min(steps[2:]), max(steps[2:]))]


def test_seconds_by_part_that_hysparse_takes_more():
    gaps = {part: seconds(part, 0) - seconds(part, 1) for part in PARTS.values()}
    told = re.search(
        r"takes ([\d.]+) s more: (\S+) s of sampling, (\S+) s of log-prob\S+ and (\S+) s of", said("record")
    )
    assert told and [float(value) for value in told.groups()] == [
        pytest.approx(gaps[part], abs=0.005) for part in ("step", "gen", "old_log_prob", "update_actor")
    ]


@pytest.mark.parametrize("page", PAGES)
def test_accuracy_before_and_after(page):
    chances = {name: STORED["sft"][name]["chances"] for name in NAMES}
    before, after = row(page, "accuracy before RL"), row(page, "accuracy after RL")
    errors = [1.96 * STORED["sft"][name]["accuracy"]["sampled_error"] for name in NAMES]
    means = [fmean(chances[name]) for name in NAMES]
    assert before[:2] == [f"{mean:.3f} ± {error:.3f}" for mean, error in zip(means, errors, strict=True)]
    assert before[2].startswith(str(paired(chances["hysparse"], chances["full"])))
    assert after[:2] == [f"{STORED['after'][name]:.3f}" for name in NAMES]
    assert after[2].startswith(re.search(r"after RL hysparse less full is ([^;]+)", STORED["verdict"])[1])


@pytest.mark.parametrize("page", PAGES)
def test_gains(page):
    gains = [re.search(rf"{name} gains ([^;]+)", STORED["verdict"])[1] for name in NAMES]
    moved = [STORED["after"][name] - fmean(STORED["sft"][name]["chances"]) for name in NAMES]
    assert row(page, "gain")[:2] == gains
    assert [float(gain.split()[0]) for gain in gains] == [pytest.approx(value, abs=0.0005) for value in moved]


def test_rewards_of_the_steps():
    for name, title in zip(NAMES, ("HySparse |", "full attention | 0"), strict=True):
        line = next(line for line in RECORD.splitlines() if line.startswith(f"| {title}") and "± " not in line)
        told = [cell.strip() for cell in line.strip("|").split("|")[1:]]
        assert told == [f"{metrics['critic/score/mean']:.3f}" for metrics in METRICS[name]]


def test_first_and_last_reward():
    rewards = [[steps[0].reward, steps[-1].reward] for steps in RUNS.values()]
    assert row("docs", "reward, first and last")[:2] == [f"{first:.3f}, {last:.3f}" for first, last in rewards]


@pytest.mark.parametrize("page", PAGES)
def test_prompts_that_the_cache_holds(page):
    configs = [twin("HySparse", **SMALL), twin("full attention", **SMALL | {"sparse_ratio": 0})]
    assert [token_bytes(config) for config in configs] == [STORED["cache"][name]["bytes a token"] for name in NAMES]
    prompts = [f"{held(config, 20_480, 10**9, two_kinds=True):.1f}" for config in configs]
    assert row(page, "longest prompts")[:2] == prompts


@pytest.mark.parametrize("page", PAGES)
def test_prompts_that_the_twin_would_hold_in_the_bytes_set_aside(page):
    config = twin("full attention", **SMALL | {"sparse_ratio": 0})
    reserve = prefill_reserve(20_480 + 56, config.num_key_value_heads, config.head_dim)
    assert f"sets aside {reserve / 2**30:.3f} GiB" in said(page)
    prompts = held(config, 20_480, 10**9 + reserve, two_kinds=True)
    assert f"{(10**9 + reserve) / 1e9:.2f} GB and hold {prompts:.1f} of" in said(page)


@pytest.mark.parametrize("page", PAGES)
def test_shares_of_the_way_between_the_last_two_looks(page):
    shares = [f"{STORED['sft'][name]['share']:.3f}" for name in NAMES]
    told = re.search(r"([\d.]+) (?:of the way|for HySparse)\D+?(0\.\d+)", said(page).partition("averaged weights")[2])
    assert told and list(told.groups()) == shares


@pytest.mark.parametrize("page", PAGES)
def test_tokens_of_a_response(page):
    tokens = [step.response_tokens for steps in RUNS.values() for step in steps]
    assert re.search(rf"esponses (have )?{min(tokens):.0f} to {max(tokens):.0f} ", said(page))


def test_choices_and_weights_of_samples():
    own, full = METRICS.values()

    def ends(rows, key, scale=1.0):
        return [scale * end(row[key] for row in rows) for end in (min, max)]

    sequences = [ends(rows, "mismatch/ess_sequences") for rows in (own, full)]
    told = "of sequences: {:.3f} to {:.3f} (twin {:.3f} to {:.3f})".format(*sequences[0], *sequences[1])
    assert told in said("record")
    assert "{:.0f} to {:.0f} % of their choices".format(*ends(own, "hysparse/equal_choices", 100)) in said("record")
    assert "carried {:.0f} to {:.0f} MiB".format(*ends(own, "hysparse/replay_mib")) in said("record")
    assert {row["hysparse/differing_rows"] for row in own} == {0.0}
