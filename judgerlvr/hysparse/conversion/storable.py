"""What a conversion or a distillation writes at its end besides weights, tried before the work begins."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import torch
from transformers import PretrainedConfig

from judgerlvr.hysparse.conversion.model_limits import context_of
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.models.configuration import CONFIG
from rewards.errors import reading

REMEDY = "give the config.json that belongs to the weights"


def check_storable(config: HySparseConfig, directory: Path) -> None:
    """Make the model of ``config`` without weights, and store both of its configurations in a folder of a moment.

    ``directory`` is the model that ``config`` comes from. Raises InputError for a configuration whose model cannot be
    made, whose context is no number, or that transformers refuses to store, with its generation settings.
    """
    tried, file = copy.deepcopy(config), directory / CONFIG
    with tempfile.TemporaryDirectory() as folder:
        check_context(tried, directory)
        with reading("no model can be made with this configuration", REMEDY, file), torch.device("meta"):
            model = HySparseForCausalLM(tried)
        with reading("transformers does not store this configuration", REMEDY, file):
            model.config.save_pretrained(folder)
            model.generation_config.save_pretrained(folder)


def check_context(config: PretrainedConfig, directory: Path) -> None:
    """Raise InputError if the context of the model in ``directory`` cannot be told from its configuration."""
    with reading("the rotary settings give no context", REMEDY, directory / CONFIG, field="rope_parameters"):
        context_of(config)
