"""The context of a model, read in one place."""

import json

import pytest

from judgerlvr.models.configuration import model_context, over_context
from rewards.errors import InputError


@pytest.mark.parametrize(
    ("fields", "engine", "context"),
    [
        ({"max_position_embeddings": 512}, None, 512),
        ({"text_config": {"max_position_embeddings": 256}}, None, 256),
        ({"max_position_embeddings": 512, "text_config": {"max_position_embeddings": 256}}, {}, 512),
        ({"max_position_embeddings": 512}, {"max_model_len": 64}, 64),
        ({"max_position_embeddings": 512}, {"max_model_len": None}, 512),
        ({"max_position_embeddings": None}, None, None),
        ({}, {"dtype": "float32"}, None),
    ],
)
def test_context(tmp_path, fields, engine, context):
    (tmp_path / "config.json").write_text(json.dumps(fields))
    assert model_context(tmp_path, engine) == context


@pytest.mark.parametrize("value", ["long", 0, -1, 1.5, True])
def test_a_length_that_is_no_whole_number_is_refused(tmp_path, value):
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": value}))
    with pytest.raises(InputError, match="write a whole number"):
        model_context(tmp_path)
    with pytest.raises(InputError, match="max_model_len is"):
        model_context(tmp_path, {"max_model_len": value})


@pytest.mark.parametrize(("longest", "limit", "over"), [(10, 90, False), (10, 91, True), (100, 1, True)])
def test_prompt_and_limit_share_the_context(longest, limit, over):
    assert bool(over_context(longest, limit, 100)) is over
    assert over_context(longest, limit, None) is None
