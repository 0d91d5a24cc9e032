"""Planted damage, of the export and of the shards, is found and named."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from judgerlvr.export.errors import ExportMismatch
from judgerlvr.export.layout import Box
from judgerlvr.export.policy import export_policy
from judgerlvr.export.proof import prove
from judgerlvr.export.shards import Shards, rank_file

LAYER, OTHER = "model.layers.1.", "model.layers.0."
EXPERT = LAYER + "mlp.experts.{}.{}_proj.weight"


def swap(tensors, one, other):
    tensors[one], tensors[other] = tensors[other], tensors[one]


def stale(tensors):
    name = LAYER + "self_attn.o_proj.weight"
    tensors[name] = tensors[name] * (1 + 1e-7)


DAMAGE = {
    "swapped experts": lambda t: swap(t, EXPERT.format(0, "down"), EXPERT.format(4, "down")),
    "gate and up swapped": lambda t: swap(t, EXPERT.format(3, "gate"), EXPERT.format(3, "up")),
    "swapped layers": lambda t: swap(t, LAYER + "self_attn.q_proj.weight", OTHER + "self_attn.q_proj.weight"),
    "stale layer": lambda t: t.update({EXPERT.format(2, "up"): torch.zeros_like(t[EXPERT.format(2, "up")])}),
    "one bit off": stale,
    "last row lost": lambda t: t["model.embed_tokens.weight"][-1].zero_(),
    "sign lost": lambda t: t["model.norm.weight"].copy_(-t["model.norm.weight"]),
    "tensor missing": lambda t: t.pop(EXPERT.format(1, "gate")),
    "tensor too short": lambda t: t.update({"model.norm.weight": t["model.norm.weight"][:-1].clone()}),
    "tensor of no source": lambda t: t.update({"model.layers.2.input_layernorm.weight": torch.ones(40)}),
    "expert beside the last": lambda t: t.update({EXPERT.format(5, "gate"): torch.ones(28, 40)}),
    "another dtype": lambda t: t.update({"model.norm.weight": t["model.norm.weight"].double()}),
    "untied head": lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"] + 1}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_export_is_refused(exported, checkpoint, damage):
    path = exported.folder / "model.safetensors"
    tensors = load_file(path)
    DAMAGE[damage](tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ExportMismatch):
        prove(exported.folder, Shards(checkpoint / "actor"), torch.float32)


def test_every_bit_of_every_tensor_counts(exported, checkpoint):
    """One element changed in each tensor in turn, at a place drawn anew."""
    path, shards, draw = exported.folder / "model.safetensors", Shards(checkpoint / "actor"), torch.Generator()
    tensors = load_file(path)
    for number, (name, tensor) in enumerate(tensors.items()):
        place = int(torch.randint(tensor.numel(), (1,), generator=draw.manual_seed(number)))
        changed = tensor.clone()
        changed.view(-1)[place] = torch.nextafter(changed.view(-1)[place], torch.tensor(9.0))
        save_file(tensors | {name: changed}, path)
        with pytest.raises(ExportMismatch, match=f"{name}: 1 element differs"):
            prove(exported.folder, shards, torch.float32)


def test_matches_each_element_once(exported, checkpoint):
    tensors = load_file(exported.folder / "model.safetensors")
    assert prove(exported.folder, Shards(checkpoint / "actor"), torch.float32) == sum(
        map(torch.numel, tensors.values())
    )


def test_small_chunks_match_as_much(exported, checkpoint, monkeypatch):
    whole = prove(exported.folder, Shards(checkpoint / "actor"), torch.float32)
    monkeypatch.setattr("judgerlvr.export.proof.CHUNK", 7)
    assert prove(exported.folder, Shards(checkpoint / "actor"), torch.float32) == whole


def test_missing_rank_is_refused(checkpoint):
    rank_file(checkpoint / "actor", "model", 3, 1).unlink()
    with pytest.raises(ExportMismatch, match="rank 1 of 3 is missing"):
        export_policy(checkpoint)


def damage_rank(checkpoint, rank, change):
    path = rank_file(checkpoint / "actor", "model", 3, rank)
    state = torch.load(path, weights_only=False)
    change(state)
    torch.save(state, path)


def cut(name):
    def change(state):
        state[name]._local_tensor = state[name]._local_tensor[:-1].clone()

    return change


@pytest.mark.parametrize("name", ["model.embed_tokens.weight", LAYER + "mlp.experts.gate_up_proj"])
def test_lost_tail_of_an_uneven_shard_is_refused(checkpoint, name):
    damage_rank(checkpoint, 2, cut(name))
    with pytest.raises(ExportMismatch, match="the ranks hold"):
        export_policy(checkpoint)


@pytest.mark.parametrize("name", ["model.embed_tokens.weight", LAYER + "mlp.experts.gate_up_proj"])
def test_lost_tail_is_found_by_the_proof_alone(exported, checkpoint, name):
    damage_rank(checkpoint, 2, cut(name))
    with pytest.raises(ExportMismatch, match="another part than FSDP gives it"):
        prove(exported.folder, Shards(checkpoint / "actor"), torch.float32)


def test_ranks_in_another_order_are_refused(exported, checkpoint):
    first, second = (rank_file(checkpoint / "actor", "model", 3, rank) for rank in (0, 1))
    first.rename(first.with_suffix(".x"))
    second.rename(first)
    first.with_suffix(".x").rename(second)
    with pytest.raises(ExportMismatch):
        prove(exported.folder, Shards(checkpoint / "actor"), torch.float32)


def test_tensor_that_one_rank_lacks_is_refused(checkpoint):
    damage_rank(checkpoint, 1, lambda state: state.pop("model.norm.weight"))
    with pytest.raises(ExportMismatch, match=r"ranks 0 and 1 do not both hold model\.norm\.weight"):
        export_policy(checkpoint)


def test_trained_head_of_a_tied_policy_must_be_the_embedding(checkpoint):
    damage_rank(checkpoint, 1, lambda state: state.update({"lm_head.weight": state["lm_head.weight"] + 1}))
    with pytest.raises(ExportMismatch, match="elements differ"):
        export_policy(checkpoint)


def test_index_that_names_other_files_is_refused(exported, checkpoint):
    (exported.folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {}}))
    with pytest.raises(ExportMismatch, match="index"):
        prove(exported.folder, Shards(checkpoint / "actor"), torch.float32)


@pytest.mark.parametrize("elements", [1, 5, 12, 1000])
def test_chunks_of_a_box_cover_each_place_once(elements):
    box, seen = Box((2, 0, 1), (3, 7, 4)), torch.zeros(5, 8, 5, dtype=torch.int64)
    for chunk in box.chunks(elements):
        seen[tuple(chunk.within(Box((0, 0, 0), (5, 8, 5))))] += 1
    assert seen.sum() == seen[2:3, 0:7, 1:4].sum() == 21 and seen.max() == 1
