"""Choices of crowded rows alone on their way to the trainer, against a twin that carries every row."""

import numpy as np
import pytest
import torch

from judgerlvr.engine.private.block_engine import for_model
from judgerlvr.hysparse.agreement.measures import crowded_rows
from judgerlvr.hysparse.ops.selection import PADDING, Selection, select_blocks
from judgerlvr.hysparse.replay.carried_sizes import HEADER
from judgerlvr.hysparse.replay.rollout_choices import (
    blank,
    carried_sizes,
    from_parameters,
    to_parameters,
    unpacked,
    without_last,
)
from tests.helpers.hysparse_models import NAMES, make_model, random_ids

# The border lies at 16 tokens: four blocks of 4. A sample of 18 tokens has one crowded row that was computed.
LENGTHS = (2, 5, 16, 17, 18, 21, 90)
FORCED = {"plain": {}, "first": {"forced_first_blocks": 1}, "local": {"forced_local_blocks": 2}}


def chosen(config, rows, seed=0):
    """Random choices that a rollout could make, every row of them: [rows, layers, kv_heads, count] and experts."""
    draw = torch.Generator().manual_seed(seed)
    layers, heads, selection = len(config.selecting_layers), config.num_key_value_heads, config.selection
    blocks = -(-rows // selection.block)
    scores = torch.rand(layers, heads, rows, blocks, generator=draw)
    own = (torch.arange(rows) // selection.block).expand(layers, rows)
    found = select_blocks(scores, own, selection).permute(2, 0, 1, 3).to(torch.int16).numpy()
    if not config.expert_layers:
        return found, None
    shape = (rows, len(config.expert_layers), config.num_experts_per_tok)
    return found, torch.randint(0, config.num_experts, shape, generator=draw).to(torch.int16).numpy()


def carried(config, tokens, seed=0):
    """The values of a sample, and its choices with every row: the last row stands twice."""
    blocks, experts = chosen(config, tokens - 1, seed)
    values = from_parameters(to_parameters(blocks[carried_sizes(config).uncrowded :], tokens - 1, experts), tokens)
    rows = [np.concatenate([part, part[-1:]]) for part in (blocks, experts) if part is not None]
    return torch.tensor(values), rows


@pytest.mark.parametrize("forced", FORCED)
@pytest.mark.parametrize("tokens", LENGTHS)
@pytest.mark.parametrize("name", NAMES)
def test_the_trainer_has_every_row_as_if_each_had_been_carried(name, tokens, forced):
    config = make_model(name, **FORCED[forced]).config
    values, rows = carried(config, tokens)
    found = unpacked(values, tokens, config)
    assert found.blocks.dtype == torch.int16
    assert found.blocks.tolist() == rows[0].swapaxes(0, 1).tolist()
    assert (found.experts is None) == (len(rows) == 1)
    if found.experts is not None:
        assert found.experts.tolist() == rows[1].swapaxes(0, 1).tolist()
    shorter = without_last(found)
    assert shorter.blocks.tolist() == rows[0][:-1].swapaxes(0, 1).tolist()


@pytest.mark.parametrize("tokens", LENGTHS)
@pytest.mark.parametrize("name", NAMES)
def test_a_sample_carries_as_many_values_as_its_sizes_say(name, tokens):
    """Counted row by row: experts of each computed row, and blocks of each computed row that is crowded."""
    config = make_model(name).config
    values, _ = carried(config, tokens)
    count = HEADER
    for row in range(tokens - 1):
        count += len(config.expert_layers) * config.num_experts_per_tok
        if row // config.select_block + 1 > config.selection.count:
            count += len(config.selecting_layers) * config.num_key_value_heads * config.selection.count
    assert len(values) == carried_sizes(config).values(tokens) == count
    assert values.element_size() * count == carried_sizes(config).bytes(tokens)


@pytest.mark.parametrize("block", [1, 16, 64])
@pytest.mark.parametrize("count", [1, 2, 16])
def test_the_first_crowded_row_is_where_more_blocks_are_seen_than_selected(block, count):
    must = crowded_rows(3 * block * count, Selection(block, count)).tolist()
    assert must.index(True) == block * count and all(must[block * count :])


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_are_not_crowded_are_the_models_own(name):
    """A whole model chooses: its first rows are what the trainer fills in, layer by layer."""
    model = make_model(name)
    own = model(random_ids(1, 100), output_blocks=True)
    filled = unpacked(carried(model.config, 101)[0], 101, model.config)
    border = carried_sizes(model.config).uncrowded
    assert torch.equal(filled.blocks[:, :border], own.chosen_blocks[:, 0, :, :border].transpose(1, 2).to(torch.int16))


def nested(rows):
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("lengths", [(90, 2, 21), (17, 9), (18, 90)])
@pytest.mark.parametrize("name", NAMES)
def test_samples_fill_a_packed_row(name, lengths, padding):
    """Short and long samples in one row, and tokens of padding behind the row."""
    config = make_model(name).config
    samples = [carried(config, tokens, seed) for seed, tokens in enumerate(lengths)]
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    given = for_model(nested([values for values, _ in samples]), offsets, config, padding)
    blocks = given["block_indices"]
    assert blocks.dtype == torch.int32 and blocks.is_contiguous()
    assert list(blocks.shape) == [len(config.selecting_layers), 1, 2, sum(lengths) + padding, config.selection.count]
    rows = np.concatenate([rows[0] for _, rows in samples])
    for row, wanted in enumerate(rows):
        assert blocks[:, 0, :, row].tolist() == wanted.tolist()
    behind = blocks[:, 0, :, len(rows) :].flatten(0, 2).tolist()
    assert behind == [[0, PADDING, PADDING, PADDING]] * len(behind)
    if config.expert_layers:
        experts = given["expert_indices"]
        for row, wanted in enumerate(np.concatenate([rows[1] for _, rows in samples])):
            assert experts[:, 0, row].tolist() == wanted.tolist()
        assert experts[:, 0, len(rows) :].flatten(0, 1).tolist() == [[0, 1]] * (7 * padding)
    else:
        assert list(given) == ["block_indices"]


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_that_fills_up_a_batch_has_rows_too(name):
    """verl makes such a sample of zeros, as long as its tokens."""
    from verl.trainer.ppo.padding_utils import build_padding_routed_experts

    config = make_model(name).config
    values, _ = carried(config, 90)
    zeros = build_padding_routed_experts(values, 128)
    found, expected = unpacked(zeros, 128, config), blank(128, config, torch.device("cpu"))
    assert torch.equal(found.blocks, expected.blocks)
    given = for_model(nested([values, zeros]), torch.tensor([0, 90, 218]), config, 0)
    assert given["block_indices"].shape[3] == 218


@pytest.mark.parametrize("tokens", [149, 151, 2])
def test_values_of_another_sample_are_an_error(tokens):
    config = make_model().config
    with pytest.raises(ValueError, match=f"choices of 149 rows in .* for a sample of {tokens} tokens"):
        unpacked(carried(config, 150)[0], tokens, config)


def test_values_that_were_cut_are_an_error():
    config = make_model().config
    with pytest.raises(ValueError, match="choices of 149 rows"):
        unpacked(carried(config, 150)[0][:-1], 150, config)


def test_a_long_sequence_has_a_header_in_two_parts():
    config = make_model().config
    long = np.zeros((70_000 - 16, 2, 2, 4), dtype=np.int16)
    values = torch.tensor(from_parameters(to_parameters(long, 70_000), 70_001))
    assert unpacked(values, 70_001, config).blocks.shape == (2, 70_001, 2, 4)


def test_an_agent_loops_output_hands_on_its_values_and_its_other_fields():
    from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput

    from judgerlvr.engine.private.carried_output import with_choices

    fields = {"prompt_ids": [1, 2], "response_ids": [3], "response_mask": [1], "response_logprobs": [-0.5]}
    plain = AgentLoopOutput(**fields, metrics=AgentLoopMetrics(), routed_experts=None, extra_fields={"kept": 7})
    output = with_choices(plain, np.arange(9, dtype=np.int16))
    output.response_mask, output.reward_score = [0], 1.0
    found = output.as_dict()
    assert found["routed_experts"].tolist() == list(range(9))
    assert found["routed_experts"].dtype == torch.int16
    output = plain.model_copy()
    output.response_mask, output.reward_score = [0], 1.0
    expected = output.as_dict()
    assert set(found) == {*expected, "routed_experts"}
    for name in ("prompts", "responses", "response_mask", "rollout_log_probs", "rm_scores"):
        assert torch.equal(found[name], expected[name])
    assert found["extra_fields"] == {"kept": 7}
