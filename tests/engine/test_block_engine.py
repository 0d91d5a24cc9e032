"""HySparse policies in our engine: the old path's numbers, and a gradient that comes from the given choices."""

import pytest
import torch

from judgerlvr.engine.devices import COMPARING, REPLAYING
from judgerlvr.hysparse.replay.rollout_choices import carried_sizes, from_parameters, to_parameters
from tests.helpers.hysparse_models import NAMES, make_model
from tests.helpers.training_engines import (
    batch_of,
    gradients_of,
    log_probs_of,
    make_engine,
    one_process,
    whole_logits,
    write_policy,
)

LENGTHS = [60, 44]


@pytest.fixture(scope="module")
def group():
    with one_process():
        yield


def carried_by(model, sample, other):
    """A sample's own choices as its rollout carries them, int16 [values]; ``other``: later rows have row 25's."""
    with torch.no_grad():
        found = model(sample[None], output_blocks=True)
    rows = [found.used_blocks[:, 0].permute(2, 0, 1, 3)]
    rows += [] if found.chosen_experts is None else [found.chosen_experts[:, 0].transpose(0, 1)]
    blocks, *experts = (part[:-1].to(torch.int16).numpy().copy() for part in rows)
    for part in (blocks, *experts) if other else ():
        part[30:] = part[25:26]
    parameters = to_parameters(blocks[carried_sizes(model.config).uncrowded :], len(blocks), *experts)
    return torch.tensor(from_parameters(parameters, len(sample)))


def choices(model, other):
    """Each sample's choices, as ``carried_by`` has them."""
    return [carried_by(model, sample, other) for sample in batch_of(LENGTHS)["input_ids"].unbind()]


@pytest.fixture(params=NAMES)
def policy(request, group, tmp_path):
    model = make_model(request.param)
    write_policy(model, tmp_path)
    return model, tmp_path


def test_the_head_changes_neither_values_nor_gradients(policy):
    model, folder = policy
    engine = make_engine(folder, REPLAYING)
    batch = {"budget": 128, "carried": choices(model, other=True)}
    ours, (gradients, norm) = (
        log_probs_of(engine, batch_of(LENGTHS, **batch)),
        gradients_of(engine, batch_of(LENGTHS, **batch)),
    )
    with whole_logits(engine):
        theirs, (expected, _) = (
            log_probs_of(engine, batch_of(LENGTHS, **batch)),
            gradients_of(engine, batch_of(LENGTHS, **batch)),
        )
    assert ours.keys() == theirs.keys() >= {"log_probs", "entropy", "differing_used", "differing_chosen"}
    for name in theirs:
        one, other = (torch.cat(list(found[name].unbind())) for found in (ours, theirs))
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    for name in expected:
        assert (gradients[name] - expected[name]).norm() <= 1e-5 * norm, name


def test_updates_use_the_given_choices(policy):
    """Own choices, given, change nothing; others change the gradient of every layer."""
    model, folder = policy
    by_engine = {
        (vendor, other): gradients_of(
            make_engine(folder, vendor), batch_of(LENGTHS, budget=128, carried=choices(model, other))
        )[0]
        for vendor, other in ((COMPARING, False), (COMPARING, True), (REPLAYING, False), (REPLAYING, True))
    }
    own, ignored, same, replayed = by_engine.values()
    norm = torch.cat([part.flatten() for part in own.values()]).norm()
    for name, expected in own.items():
        assert (ignored[name] - expected).norm() <= 1e-5 * norm, name
        assert (same[name] - expected).norm() <= 1e-5 * norm, name
    moved = [(replayed[name] - own[name]).norm() / own[name].norm() for name in own if "q_proj" in name]
    assert min(moved) > 1e-3


@pytest.mark.parametrize("kept", ["all", "attention"])
def test_recomputing_changes_no_gradient(policy, kept):
    model, folder = policy
    batch = {"budget": 128, "carried": choices(model, other=True)}
    expected, norm = gradients_of(make_engine(folder, REPLAYING), batch_of(LENGTHS, **batch))
    found, _ = gradients_of(make_engine(folder, REPLAYING, [f"cluster.recompute={kept}"]), batch_of(LENGTHS, **batch))
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-5 * norm, name
