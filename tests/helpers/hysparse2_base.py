"""The trained HySparse2 base, and texts of the tiny world."""

import random

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import judgerlvr.hysparse.model.registration  # noqa: F401  (registers the model type)
from judgerlvr.tinyworld.making.checkpoint import base_path
from judgerlvr.tinyworld.making.sft import Examples, SFTConfig
from judgerlvr.tinyworld.task import World
from judgerlvr.tinyworld.traces import Tracer

BASE = base_path("hysparse2")


def trained_base():
    """The base in evaluation mode, with weights in float32."""
    return AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).eval()


def trace_ids(batch, length, seed=1):
    """[batch, length] token ids: prompts with their solutions, one text behind the other."""
    examples = Examples(Tracer(World()), AutoTokenizer.from_pretrained(BASE), SFTConfig(judge_share=0.0))
    needed, stream = batch * length, []
    while len(stream) < needed:
        stream += [token for ids, _ in examples.examples(random.Random(seed + len(stream)), 1) for token in ids]
    return torch.tensor(stream[:needed]).reshape(batch, length)
