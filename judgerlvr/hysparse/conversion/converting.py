"""The conversion command behind its options: the plan, the placement of full layers, and the saved model."""

from __future__ import annotations

import argparse

from transformers import PreTrainedModel

from judgerlvr.hysparse.conversion.conversion import (
    adopt,
    pick_device,
    read_model,
    save,
    starting_values,
    stored_dtype,
    target_config,
)
from judgerlvr.hysparse.conversion.conversion_plan import card_for, check_card, largest_pass, search_line
from judgerlvr.hysparse.conversion.conversion_rates import DISK_GB_S
from judgerlvr.hysparse.conversion.derived_files import check_new, check_outside
from judgerlvr.hysparse.conversion.model_limits import reach_notes
from judgerlvr.hysparse.conversion.placements import layer_runs
from judgerlvr.hysparse.conversion.search import Point, check_asked, check_count, find, read_parts, write_curve
from judgerlvr.hysparse.conversion.source_tokenizer import check_tokenizer
from judgerlvr.hysparse.conversion.texts import pack
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.layout import letters
from judgerlvr.hysparse.model.sizes import MIB, count_parameters, report
from judgerlvr.hysparse.ops.available import check_backend
from judgerlvr.models.finite import weight_bytes
from judgerlvr.models.tokenizer_files import has_tokenizer
from rewards.wording import counted

UNMEASURED = (
    "the full layers stand evenly spaced, a placement that nobody measured on this model; give --full-layers, or "
    "--search TEXTS, which measures"
)


def run(options: argparse.Namespace) -> None:
    """Print the plan, or convert and save.

    Raises InputError as ``check_new``, ``check_outside``, ``check_tokenizer``, ``target_config``, ``check_backend`` and
    ``find``.
    """
    check_new(options.out)
    check_outside(options.out, [options.source])
    check_asked(options)
    check_card(options)
    if options.search is not None:
        check_backend("cpu" if options.plan else pick_device(options.device))
    config = target_config(options)
    check_count(options, config.num_hidden_layers)
    if options.full_layers is None and options.search is None:
        print(f"note: {UNMEASURED}")
    check_tokenizer(options.source)
    if not has_tokenizer(options.source):
        print(f"warning: {options.source} has no tokenizer, so {options.out} gets none; add the tokenizer's files")
    print("".join(f"{note}\n" for note in reach_notes(config)), end="")
    if options.plan:
        print(plan(options, config))
        return
    if options.search is None:
        write(options, config, read_model(options.source, stored_dtype(config)), [])
    else:
        found = find(options, config)
        write(options, found.config, found.source, found.curve)


def write(options: argparse.Namespace, config: HySparseConfig, source: PreTrainedModel, curve: list[Point]) -> None:
    """Convert and save, with the curve if there is one."""
    # The model takes the source's tensors, so the weights are in memory once.
    model = adopt(source.state_dict(), config, starting_values(options))
    save(model, options.source, options.out, lambda folder: write_curve(curve, folder) if curve else None)
    print(f"{options.out}: {model.num_parameters() / 1e6:,.1f} M parameters, layers {letters(config.kinds)}")


def plan(options: argparse.Namespace, config: HySparseConfig) -> str:
    """Costs of conversion and result as text. No weight is read.

    Everything is calculated from the shapes. Texts of a search are read, so that the plan knows their number.
    """
    parameters = count_parameters(config)
    dtype = stored_dtype(config)
    counts = (parameters.total - parameters.gates, parameters.gates)
    weights, gates = (count * dtype.itemsize / MIB for count in counts)
    group = config.num_attention_heads // config.num_key_value_heads
    files = weight_bytes(options.source)
    return "\n".join(
        [
            f"layers {letters(config.kinds)}",
            f"kernels: forward, backward and decoding take {group} query heads a KV head of dim {config.head_dim} and "
            f"blocks of {counted(config.select_block, 'token')}",
            f"memory of the conversion: {weights:,.1f} MiB of weights and {gates:,.1f} MiB of gates, each once, in "
            f"{str(dtype).removeprefix('torch.')} [calculated]; the source's files hold {files / MIB:,.1f} MiB",
            f"minutes: {conversion_minutes(parameters.total * dtype.itemsize):.1f} to read and write the weights "
            f"[assumed disk of {DISK_GB_S.value} GB/s]",
            *search_plan(options, config),
            report(config, options.context, options.batch),
        ]
    )


def conversion_minutes(written: int) -> float:
    """Minutes in which a disk gives the source's weights and takes ``written`` bytes."""
    return 2 * written / (DISK_GB_S.value * 1e9) / 60


def search_plan(options: argparse.Namespace, config: HySparseConfig) -> list[str]:
    """Lines about the search, if the options ask for a search. The layers of the plan are then an example.

    Raises InputError as ``read_parts``.
    """
    if options.search is None:
        return []
    layers = config.num_hidden_layers
    passes, left = layer_runs(layers) / layers, options.full_count or len(config.full_layers)
    held, searched = (pack(part, options.length) for part in read_parts(options, config))
    batches, heldout = (-(-len(part.ids) // options.rows) for part in (searched, held))
    line = search_line(config, largest_pass(searched, options.rows), batches, heldout, card_for(options.card))
    return [
        line,
        f"search: at most {passes:,.0f} forward passes over the searched texts, and {layers} over the held-out texts",
        f"the search leaves {left} full layers, and the layers above are an example",
    ]
