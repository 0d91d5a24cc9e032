"""Samples on disk that something else wrote to: a resume is one line that names the place, and never a traceback."""

import json

import pytest

from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.plan import Job
from judgerlvr.sampling.samples import generate_items
from judgerlvr.sampling.streaming import sample_items
from judgerlvr.tinyworld.making.checkpoint import base_path
from rewards.errors import InputError
from rewards.types import Problem
from tests.helpers.fake_engines import FakeEngines
from tests.helpers.json_damage import damaged

ITEMS = generate_items([Problem(f"p{n}", f"a={n}", str(n)) for n in range(2)], "{{problem}}", "own")
JOBS = [Job(base_path("qwen3_moe"), Decoding(n=2, max_tokens=8), "warm")]


def draw(folder):
    return sample_items(folder, ITEMS, JOBS, FakeEngines())


def draw_afresh(folder):
    return sample_items(folder, ITEMS, JOBS, FakeEngines(), afresh=True)


def read_all(folder):
    """Resume and read everything. True if the folder is taken."""
    try:
        list(draw(folder).samples(ITEMS))
    except InputError as refusal:
        assert "\n" not in str(refusal) and str(folder) in str(refusal)
        return False
    return True


@pytest.fixture
def folder(tmp_path):
    draw(tmp_path / "samples")
    return tmp_path / "samples"


def test_any_damage_to_a_sample_is_one_line_or_another_value_of_its_type(folder):
    shard = folder / "shards" / "samples-00001.jsonl"
    first, *rest = shard.read_text().splitlines()
    kinds = {name: type(value) for name, value in json.loads(first).items()}
    taken = set()
    for content in damaged(json.loads(first)):
        shard.write_text("\n".join([json.dumps(content), *rest]) + "\n")
        if read_all(folder):
            taken |= {name for name, value in content.items() if type(value) is not kinds[name]}
    # Fields with several types in a whole record too.
    assert taken <= {"tokens", "thinking_tokens", "mean_logprob", "seed", "right", "stop_reason"}


@pytest.mark.parametrize("line", ["7", "[]", "null", "{}", "", "\0", '"job"'])
def test_a_line_that_is_no_record_is_named(folder, line):
    shard = folder / "shards" / "samples-00001.jsonl"
    shard.write_text(shard.read_text() + line + "\n")
    with pytest.raises(InputError, match="row 5"):
        draw(folder)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("job", "other", "no model and decoding of the plan is 'other'"),
        ("sample", 2, "2, where 2 are asked for"),
        ("sample", -1, "-1, where 2 are asked for"),
        ("id", "p7", "a sample of p7 of own, which is not asked for"),
        ("set", "more", "a sample of p0 of more, which is not asked for"),
    ],
)
def test_a_sample_that_nobody_asked_for_is_named(folder, field, value, says):
    shard = folder / "shards" / "samples-00001.jsonl"
    records = sorted(map(json.loads, shard.read_text().splitlines()), key=lambda record: record["id"])
    shard.write_text("".join(json.dumps(record) + "\n" for record in [records[0] | {field: value}, *records[1:]]))
    with pytest.raises(InputError, match=says):
        draw(folder)


def test_any_damage_to_the_plan_is_one_line(folder):
    plan = json.loads((folder / "plan.json").read_text())
    for content in damaged(plan):
        (folder / "plan.json").write_text(json.dumps(content))
        # A field of the decoding that an older version did not write has its default.
        assert not read_all(folder) or content["jobs"].keys() == plan["jobs"].keys(), content


def test_samples_without_their_plan_are_refused(folder):
    """The samples may be answers to another prompt, which no record of a sample names."""
    (folder / "plan.json").unlink()
    with pytest.raises(InputError, match=r"other settings: unknown, without plan.json"):
        draw(folder)
    assert len(list(draw_afresh(folder).samples(ITEMS))) == 4
