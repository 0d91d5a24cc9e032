"""Distillation of a converted model towards its source: the model, the data, the run, and what is stored."""

from __future__ import annotations

import argparse

import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor
from transformers import PreTrainedModel

from judgerlvr.hysparse.conversion.conversion import (
    adopt,
    check_kernels,
    check_stored,
    name_dtype,
    pick_device,
    read_model,
    read_source,
    starting_values,
    stored_dtype,
    target_config,
)
from judgerlvr.hysparse.conversion.conversion_plan import (
    Distilling,
    card_for,
    check_card,
    distilling_line,
    largest_pass,
)
from judgerlvr.hysparse.conversion.derived_files import check_outside, copy_files
from judgerlvr.hysparse.conversion.model_limits import check_texts, reach_notes
from judgerlvr.hysparse.conversion.options import SHAPE, given
from judgerlvr.hysparse.conversion.source_tokenizer import read_tokenizer
from judgerlvr.hysparse.conversion.spent import spending
from judgerlvr.hysparse.conversion.storable import check_context, check_storable
from judgerlvr.hysparse.conversion.texts import Packed, read_texts, split_texts
from judgerlvr.hysparse.distillation.checkpoints import (
    CHECKPOINTS,
    Sealing,
    Settings,
    last_checkpoint,
    remove,
    remove_checkpoints,
)
from judgerlvr.hysparse.distillation.distillation_folder import (
    check_folder,
    check_free,
    make_folder,
    settings_of,
    write_curve,
)
from judgerlvr.hysparse.distillation.distiller import (
    Distiller,
    check_schedule,
    goal_of,
    share_rows,
    trainer_arguments,
)
from judgerlvr.hysparse.distillation.processes import agree, is_first, same
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.hysparse.ops.available import check_backend
from judgerlvr.models.finite import is_finite
from rewards.errors import InputError

# Fields in which a student must equal its source, so that logits and layers can be compared.
SHARED = ("vocab_size", "num_hidden_layers", "hidden_size")
RESULT = ".result"  # in OUT, until each file has its place


def run(options: argparse.Namespace) -> None:
    """Convert or load, distil, save.

    Raises InputError for a missing model, bad texts, impossible settings, a device that HySparse cannot run on, and a
    folder that cannot go on.
    """
    same(lambda: check_card(options))
    same(lambda: check_schedule(options))
    same(lambda: check_outside(options.out, [options.source, options.student]))
    device = same(lambda: pick_device(options.device))
    precision = options.precision or ("bf16" if device == "cuda" else "fp32")
    same(check_backend)
    if options.plan:
        same(lambda: None if options.resume else check_free(options.out))
        same(lambda: print(plan(options, *read_all(options))))
        return
    halves = precision == "bf16"
    arguments = same(lambda: trainer_arguments(options, options.out / CHECKPOINTS, device, halves))
    first = is_first()
    agree(lambda: check_free(options.out) if first and not options.resume else None)
    config, heldout, rest = agree(lambda: read_all(options))
    rows = heldout, rest
    settings = agree(lambda: settings_of(options, precision, arguments.world_size, rows) if first else {})
    checkpoint = place_to_begin(options, settings, first)
    dtype = stored_dtype(config)  # Saving a checkpoint changes the configuration's.
    agree(lambda: check_backend(device))
    source = agree(lambda: read_model(options.source, "auto" if halves else torch.float32))
    student = agree(lambda: make_student(options, config, source))
    goal = agree(lambda: goal_of(source, heldout, arguments, options.source))
    agree(lambda: make_folder(options, settings) if first else None)
    trainer = Distiller(student, goal, rest, arguments, options.hidden, lambda c: write_curve(options.out, c))
    trainer.add_callback(Sealing(settings))
    with spending("distillation", device, shown=first):
        trainer.train(resume_from_checkpoint=checkpoint)
    store(trainer, options, dtype)


def read_all(options: argparse.Namespace) -> tuple[HySparseConfig, Packed, Packed]:
    """The student's configuration, held-out rows and learnt rows. Raises InputError as the functions called."""
    config = target_config(options) if options.student is None else student_config(options)
    print("".join(f"{note}\n" for note in reach_notes(config)), end="")
    return config, *read_parts(options, config)


def place_to_begin(options: argparse.Namespace, settings: Settings, first: bool) -> str | None:
    """The checkpoint from which all processes go on, None for a start from the beginning.

    The first process looks, so that one process reads the files. Raises InputError as ``check_folder`` and
    ``last_checkpoint``.
    """

    def look() -> str | None:
        check_folder(options, settings)
        return last_checkpoint(options.out, settings) if options.resume else None

    (checkpoint,) = broadcast_object_list([agree(lambda: look() if first else None)])
    return str(checkpoint) if checkpoint else None


def read_parts(options: argparse.Namespace, config: HySparseConfig) -> tuple[Packed, Packed]:
    """Held-out and learnt rows of ``--texts``.

    Raises InputError as ``read_tokenizer``, ``read_texts``, ``split_texts``, and as ``check_texts`` for either model.
    """
    texts = read_texts(options.texts, read_tokenizer(options.source), options.length)
    models = [(config, options.source)]
    if options.student is not None:
        models = [(read_source(options.source), options.source), (config, options.student)]
    for model, directory in models:
        check_texts(texts, model, options.texts, directory)
    return split_texts(texts, options.heldout, options.length, options.texts)


def plan(options: argparse.Namespace, config: HySparseConfig, heldout: Packed, rest: Packed) -> str:
    """Minutes and memory of the distillation in one process, in bf16 on a GPU.

    Raises InputError as ``trainer_arguments``, and for options whose costs nobody has counted.
    """
    fp32, hidden, cpu = options.precision == "fp32", options.hidden > 0, options.device == "cpu"
    for flag in [flag for flag, asked in (("--precision", fp32), ("--hidden", hidden), ("--device", cpu)) if asked]:
        problem = f"--plan counts a distillation in bf16 on a GPU, and {flag} asks for another"
        raise InputError(problem, f"leave {flag} out")
    at_once, passes = share_rows(options, processes=1)
    work = Distilling(
        steps=options.steps,
        passes=passes,
        evaluations=1 + -(-options.steps // options.every),
        heldout=-(-len(heldout.ids) // at_once),
        checkpoints=options.steps // options.save_every,
        recompute=options.recompute,
    )
    return distilling_line(config, largest_pass(rest, at_once), work, card_for(options.card))


def student_config(options: argparse.Namespace) -> HySparseConfig:
    """Configuration of the model in ``--student``. No weight is read.

    Raises InputError for another family, another size than the source's, options of a conversion, weight files of
    either that hold other tensors than their configuration asks for, and what ``check_storable`` refuses.
    """
    if shaped := given(options, SHAPE):
        raise InputError(f"{shaped[0]} is for a conversion", "leave it out: the student has its own", options.student)
    source, config = read_source(options.source), read_source(options.student)
    check_stored(options.source)
    if not isinstance(config, HySparseConfig):
        raise InputError("not a HySparse model", "convert it with judgerlvr.hysparse.convert", options.student)
    check_stored(options.student)
    name_dtype(config, options.student)
    for name in SHARED:
        if getattr(source, name, None) != getattr(config, name):
            problem = f"{name} is {getattr(config, name)}, and {getattr(source, name, None)} in the source"
            raise InputError(problem, "give the source that the student was made from", options.student)
    check_kernels(config)
    check_storable(config, options.student)
    check_context(source, options.source)
    return config


def make_student(options: argparse.Namespace, config: HySparseConfig, source: PreTrainedModel) -> HySparseForCausalLM:
    """The model to train, in float32: the student of an earlier run, or a conversion of copies of the weights."""
    if options.student is not None:
        student = read_model(options.student, torch.float32)
        assert isinstance(student, HySparseForCausalLM)
        return student
    weights = {name: tensor.to(torch.float32, copy=True) for name, tensor in source.state_dict().items()}
    return adopt(weights, config, starting_values(options))


def store(trainer: Distiller, options: argparse.Namespace, dtype: torch.dtype) -> None:
    """Write the model beside its curve in the dtype of its source. Sinks stay float32. Checkpoints go.

    A folder with config.json is whole, so this file comes last. Raises InputError for weights that training made NaN or
    infinite, which the held-out rows need not meet.
    """
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.is_world_process_zero():
        return
    cast = {name: weight if "sinks" in name else weight.to(dtype) for name, weight in weights.items()}
    if wrong := [name for name, weight in cast.items() if not is_finite(weight)]:
        remedy = "begin in a new folder with a smaller --lr"
        raise InputError(f"training made {wrong[0]} NaN or infinite, so no model is stored", remedy, file=options.out)
    # Checkpoints may be a link to another disk, and files are renamed within one disk alone.
    made = options.out / RESULT
    # A start that was killed here leaves parts.
    remove(made)
    whole(trainer.student_config, cast, dtype).save_pretrained(made)
    copy_files(options.source, made)
    for path in sorted(made.iterdir(), key=lambda path: path.name == "config.json"):
        place = options.out / path.name
        if place.is_dir():
            remove(place)
        path.replace(place)
    made.rmdir()
    remove_checkpoints(options.out)


def whole(config: HySparseConfig, weights: dict[str, Tensor], dtype: torch.dtype) -> HySparseForCausalLM:
    """A model to be stored, on the gathered weights, which have ``dtype``."""
    with torch.device("meta"):
        model = HySparseForCausalLM(config)
    model.load_state_dict(weights, assign=True)
    model.tie_weights()
    model.config.dtype = dtype
    return model
