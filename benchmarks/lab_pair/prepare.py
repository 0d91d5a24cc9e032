"""Everything that the stages of the pair read: ``python -m benchmarks.lab_pair.prepare CELL_DIR --out DIR``.

``CELL_DIR`` is a folder of ``python -m benchmarks.lab.run CELL --out CELL_DIR --base-only``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.lab.cells import Cell, all_cells
from benchmarks.lab.command import BadInput, Parser, made_folder, one_line, read_object, told
from benchmarks.lab.judge_pool import Pool, sample_pool
from benchmarks.lab.model import Shape, Weights, repeat_run
from benchmarks.lab.records import CLAIM, CellFolder
from benchmarks.lab.run import HARD, POOL_SEED
from benchmarks.lab.sampler import Sampler
from benchmarks.lab.training import WARMUP
from benchmarks.lab.worlds.base import TOKENS, Problems
from benchmarks.lab.worlds.chain import LABELS, OPERATIONS, VALUES, ChainConfig, ChainWorld
from benchmarks.lab_pair.qwen3 import qwen3
from benchmarks.lab_pair.words import SHOWS, VERDICTS, make_tokenizer, text_of
from benchmarks.lab_pair.world import problem_rows

LABEL = "demonstration, 4.5 M parameters, one pair (n = 1), no test"
# Steps that judge-most took in the record 2026-11-30-h200-tenth. Other cells judge a third of the steps.
JUDGED = {"chain-92-05-fresh-12": 35}
HELD_OUT, PROBLEM_SEED = 512, 31_337
CONFIG, MODEL, TRAIN, HELD_OUT_FILE, CANDIDATES = ("pair.yaml", "model", "train.jsonl", "heldout.jsonl", "judge.jsonl")
# The product wants both verdict words in a judge prompt. The chat template drops all behind the response.
ASKED = f"judge {{{{problem}}}} {SHOWS} {{{{response}}}} : {' or '.join(VERDICTS)}\n"
TEMPLATES = {"solve.txt": "solve {{problem}}\n", "judge.txt": ASKED}


def read_cell(folder: Path) -> tuple[Cell, Weights]:
    """The cell of a lab's folder, and its base on the device at hand, with an axis of a single run.

    Raises:
        BadInput: no cell there, a cell of another world, or no base.
    """
    name = read_object(folder / CLAIM, "cell")["cell"]
    cell = all_cells().get(name)
    if cell is None or not isinstance(cell.world, ChainConfig):
        raise BadInput(f"{folder} holds {name!r}, so name a folder of a chain cell")
    base = CellFolder(folder).load_base(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    if base is None:
        raise BadInput(f"{folder} has no base: python -m benchmarks.lab.run {name} --out {folder} --base-only")
    return cell, base


def shape_of(cell: Cell, world: ChainWorld) -> Shape:
    return Shape(world.vocabulary, **cell.model)


def write_model(cell: Cell, world: ChainWorld, base: Weights, folder: Path) -> None:
    """The base in the number format in which the lab stores it."""
    weights = {name: value[0].cpu() for name, value in base.items()}
    qwen3(shape_of(cell, world), weights).to(torch.bfloat16).save_pretrained(folder)
    make_tokenizer(world.steps).save_pretrained(folder)


def unlike_problems(cell: str, world: ChainWorld, wanted: int) -> list[dict[str, Any]]:
    """So many problems, each once."""
    draw = torch.Generator(device=world.device).manual_seed(PROBLEM_SEED)
    found: dict[Any, dict[str, Any]] = {}
    while len(found) < wanted:
        found |= {row["problem"]: row for row in problem_rows(cell, world.problems(wanted, draw))}
    return list(found.values())[:wanted]


def judge_pool(cell: Cell, world: ChainWorld, base: Weights) -> Pool:
    """The pairs that the lab itself would judge."""
    runs, rl = cell.seeds * len(cell.rates), cell.rl
    sampler = Sampler(shape_of(cell, world), world, runs, rl.prompts * rl.group, False, world.device)
    wanted = rl.pool + rl.heldout_pairs
    return sample_pool(world, sampler, repeat_run(base, runs), rl.group, wanted, POOL_SEED, rl.pool_rounds, HARD)


def candidate_rows(cell: str, pool: Pool) -> Iterable[dict[str, Any]]:
    """Both candidates of each problem, as the direct response that has the candidate's values."""
    shown = zip(pool.right.tolist(), pool.wrong.tolist(), strict=True)
    for index, (row, pair) in enumerate(zip(problem_rows(cell, pool.problems), shown, strict=True)):
        for values in pair:
            yield row | {"response": text_of(direct_response(pool.problems, index, values))}


def direct_response(problems: Problems, index: int, values: Sequence[int]) -> list[int]:
    """Tokens of a line for each step, and the answer, without the end."""
    steps, before = int(problems["steps"][index]), int(problems["start"][index])
    operations, operands = problems["operation"][index].tolist(), problems["operand"][index].tolist()
    tokens: list[int] = []
    for step, value in enumerate(values[:steps]):
        stated = VALUES + before, OPERATIONS + operations[step], VALUES + operands[step], VALUES + value
        tokens, before = [*tokens, LABELS + step, *stated], value
    return [*tokens, TOKENS.answer, VALUES + before]


def steps_of(cell: Cell) -> tuple[int, int]:
    """(steps of an arm, judging steps of judge-first)."""
    steps = sum(stage.steps for stage in cell.arms[0].stages)
    return steps, JUDGED.get(cell.name, steps // 3)


def settings(cell: Cell, world: ChainWorld, folder: Path) -> dict[str, Any]:
    """The configuration of all three stages."""
    rl, (steps, judging) = cell.rl, steps_of(cell)
    both = {
        "optimizer": {"lr": cell.rates[-1], "warmup_steps": WARMUP // rl.updates},
        "algorithm": {
            **{"clip_low": rl.clip.low, "clip_high": rl.clip.high},
            **{"importance_cap": 0, "dynamic_sampling": False, "overlong": "mask"},
        },
        "validation": {"every": rl.evaluate_every, "prompts": 0},
        "checkpoint": {"every": rl.evaluate_every},
    }
    batch = {"samples_per_prompt": rl.group, "updates_per_step": rl.updates}
    return {
        "model": {"path": str(folder / MODEL)},
        "data": {
            **{"train": [str(folder / TRAIN)], "heldout": [str(folder / HELD_OUT_FILE)]},
            "prompt": str(folder / "solve.txt"),
        },
        "max_prompt_tokens": max(world.prompt_length, world.judge_prompt_length),
        "judge": {
            **deepcopy(both),
            "max_response_tokens": world.judge_limit,
            "data": {
                **{"responses": [str(folder / CANDIDATES)], "prompt": str(folder / "judge.txt")},
                **{"verdicts": list(VERDICTS), "cap_per_problem": 1, "heldout_problems": rl.heldout_pairs},
            },
            "batch": {**batch, "prompts_per_step": rl.judge_prompts},
            "stop": {"steps": judging},
        },
        "generate": {
            **both,
            "max_response_tokens": world.response_limit,
            "agent_loop": "benchmarks.lab_pair.loop:RecheckLoop",
            "batch": {**batch, "prompts_per_step": rl.prompts},
            "stop": {"steps": steps},
        },
        "reward": {"verifier": "benchmarks.lab_pair.world:verify", "workers": 1},
        "guards": {"constant_verdicts": {"action": "warn"}},
    }


def commands(cell: Cell, folder: Path) -> list[str]:
    """The stages of both arms, in order."""
    steps, judging = steps_of(cell)
    common = f"--config {folder / CONFIG} runs={folder / 'runs'} --out {folder / 'ckpt'}/"
    generate, after = f"python -m judgerlvr.stage2_generate {common}", f"--init {folder / 'ckpt' / 'judge'}"
    return [
        f"python -m judgerlvr.stage1_judge {common}judge name=judge",
        f"{generate}judge-most name=judge-most {after} generate.stop.steps={steps - judging}",
        f"{generate}vanilla name=vanilla",
    ]


def prepare(cell: Cell, base: Weights, folder: Path) -> None:
    assert isinstance(cell.world, ChainConfig)
    world = ChainWorld(cell.world, base["embedding"].device)
    pool = judge_pool(cell, world, base)
    if len(pool) <= cell.rl.heldout_pairs:
        raise BadInput(f"{len(pool)} problems have a right and a wrong answer, so train a base that sometimes is right")
    write_model(cell, world, base, folder / MODEL)
    held_out = min(HELD_OUT, cell.rl.prompts * cell.rl.group)
    rows = unlike_problems(cell.name, world, held_out + cell.rl.prompts * steps_of(cell)[0])
    files = {HELD_OUT_FILE: rows[:held_out], TRAIN: rows[held_out:], CANDIDATES: candidate_rows(cell.name, pool)}
    for name, written in files.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in written))
    for name, text in TEMPLATES.items():
        (folder / name).write_text(text)
    # Last, since the stages cannot begin without it.
    (folder / CONFIG).write_text(yaml.safe_dump(settings(cell, world, folder), sort_keys=False))


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser(prog="python -m benchmarks.lab_pair.prepare", description=LABEL)
    parser.add_argument("cell", type=Path, metavar="CELL_DIR", help="folder of a lab's cell with a base")
    parser.add_argument("--out", type=Path, required=True, help="new folder for model, data and configuration")
    options = parser.parse_args(arguments)
    cell, base = read_cell(options.cell)
    folder = options.out.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise BadInput(f"{folder} is not empty, so name a new folder")
    made_folder(folder)
    with told(f"{folder} cannot be written to, so name another folder"):
        prepare(cell, base, folder)
    print(f"{LABEL}: {cell.name}", *commands(cell, folder), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
