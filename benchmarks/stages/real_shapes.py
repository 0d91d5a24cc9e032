"""Both stages through the product's commands, with a policy of real layer shape and random weights.

    python -m benchmarks.stages.real_shapes OUT --shape moe|dense|tiny-moe [--steps 2] [--seconds 500]
        [--judge "key=value ..."] [--generate "key=value ..."] [--kill-after 2] [--serve] [key=value ...]

The policy knows nothing. The policy's head is biased towards two tokens, a boxed yes and a boxed no. Each of the two
tokens ends a response. Verdicts are random, so rewards differ within a group. Stage 2 pays by a hash of problem and
answer (``pay_by_hash``). OUT/stages.md gives each step and the ends of the runs. A second call with the same folders
goes on where the first call ended.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.hysparse.kernels.table import heading
from benchmarks.stages.engine_speed.shapes import BASE, SHAPES
from judgerlvr.cluster.environment import COMMON
from judgerlvr.runs.checkpoints import complete, step_of
from judgerlvr.runs.manifest import MANIFEST, read_manifest
from judgerlvr.runs.metrics import METRICS, read_metrics
from judgerlvr.runs.stage import CHECKPOINTS
from rewards.types import Problem, Reason, Result

HELDOUT = 8
LIFT = 200  # the large coordinate, in standard deviations of an embedding: 28 layers of noise drown 20 of them
SPACE = 80 * 2**30  # free bytes below which stage 1's shards go before stage 2
RESULT = "result:"  # marks a process's own line among those of libraries
TOKENS = ("\\boxed{Yes}", "\\boxed{No}")
SHOWN = (
    "response/mean_tokens",
    "critic/score/mean",
    "actor/grad_norm",
    "training/rollout_probs_diff_mean",
    "rollout_corr/kl",
    "perf/max_memory_allocated_gb",
    "perf/throughput",
    "timing_s/gen",
    "timing_s/old_log_prob",
    "timing_s/update_actor",
    "timing_s/update_weights",
    "timing_s/step",
    "timing_s/save_checkpoint",
)


def pay_by_hash(problem: Problem, answer: str) -> Result:
    """The gold is right. A hash that no policy can predict makes half of all other answers right."""
    right = answer == problem.gold or hashlib.sha256(f"{problem.id}/{answer}".encode()).digest()[0] % 2 == 0
    return Result(float(right), Reason.CORRECT if right else Reason.WRONG)


def make_policy(shape: str, out: Path, mean_tokens: int) -> None:
    """Random weights in bfloat16, a tokenizer with the two verdicts as tokens, and the biased head."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    tokenizer.add_tokens(list(TOKENS))
    tokens = len(tokenizer)
    (out / "shape").mkdir(parents=True)
    (out / "shape" / "config.json").write_text(json.dumps(SHAPES[shape] | {"dtype": "bfloat16"}))
    config = AutoConfig.from_pretrained(out / "shape")
    config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    torch.manual_seed(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    verdicts = tokenizer.convert_tokens_to_ids(list(TOKENS))
    bias_head(model, verdicts, mean_tokens)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, *verdicts]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(out / "policy")
    tokenizer.save_pretrained(out / "policy")
    fill_vocabulary(out / "policy" / "tokenizer.json", tokens, SHAPES[shape]["vocab_size"])
    print(f"{model.num_parameters() / 1e9:.2f} B parameters in {out / 'policy'}", flush=True)


def fill_vocabulary(path: Path, tokens: int, vocabulary: int) -> None:
    """Name every id of the vocabulary.

    The engine samples tokens of the tokenizer alone, and the trainer's softmax counts the whole vocabulary. As added
    tokens, so many names would take 25 s to load in each process.
    """
    stored = json.loads(path.read_text(encoding="utf-8"))
    # Added tokens that the vocabulary lacks would move behind the names.
    added = {token["content"]: token["id"] for token in stored["added_tokens"]}
    stored["model"]["vocab"] |= added | {f"filler{number}": number for number in range(tokens, vocabulary)}
    path.write_text(json.dumps(stored, ensure_ascii=False), encoding="utf-8")


def bias_head(model: object, verdicts: list[int], mean_tokens: int) -> None:
    """Lift the logits of both verdicts. One coordinate of every embedding is large, and the head reads it."""
    import math

    import torch

    head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight  # type: ignore[attr-defined]
    with torch.no_grad():
        if head is not embedding:
            head.normal_(0, 0.5 / head.shape[1] ** 0.5)
        embedding[:, 0] = LIFT * embedding.float().std()
        ids = torch.randint(0, len(head), (1, 256), device=head.device)
        hidden = model.model(input_ids=ids).last_hidden_state[0, 64:].float()  # type: ignore[attr-defined]
        plain = (hidden @ head.float().T).logsumexp(-1).mean().item()
        for token in verdicts:
            chance = 0.5 / mean_tokens
            now = (hidden @ head[token].float()).mean().item()
            head[token, 0] += (math.log(chance) + plain - now) / hidden[:, 0].mean().item()


def write_data(out: Path, problems: int) -> None:
    """Problems, held-out problems, and a right and a wrong candidate for each."""
    numbers = range(problems + HELDOUT)
    names = [(f"p{number}", f"What is {number} plus {number + 1}?", str(2 * number + 1)) for number in numbers]
    rows = [{"id": key, "problem": text, "gold": gold} for key, text, gold in names]
    judged = [
        row | {"response": f"The sum is \\boxed{{{answer}}}", "model": "script", "finish_reason": "stop", "tokens": 9}
        for row in rows
        for answer in (row["gold"], f"{row['gold']}0")
    ]
    files = {"problems": rows[:problems], "heldout": rows[problems:], "candidates": judged}
    for name, lines in files.items():
        (out / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="moe")
    parser.add_argument("--work", type=Path, help="folder of weights, runs and checkpoints (default OUT/work)")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=540, help="a stage still running then is stopped")
    parser.add_argument("--mean-tokens", type=int, default=3000)
    parser.add_argument("--judge", default="", help="keys of stage 1 alone")
    parser.add_argument("--generate", default="", help="keys of stage 2 alone")
    parser.add_argument("--stages", choices=("judge", "generate", "both"), default="both")
    parser.add_argument("--kill-after", type=int, default=0, help="kill stage 2 after so many checkpoints, and go on")
    parser.add_argument("--serve", action="store_true", help="load the last policy in vLLM at the end")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parser.parse_intermixed_args()


def common_keys(options: argparse.Namespace, work: Path) -> list[str]:
    return [
        f"model.path={work / 'policy'}",
        f"data.train=[{work / 'problems.jsonl'}]",
        f"data.heldout=[{work / 'heldout.jsonl'}]",
        f"judge.data.responses=[{work / 'candidates.jsonl'}]",
        f"judge.data.heldout_problems={HELDOUT}",
        "judge.data.cap_per_problem=1",
        "reward.verifier=benchmarks.stages.real_shapes:pay_by_hash",
        f"runs={work / 'runs'}",
        "logging.tensorboard=false",
        *(
            f"guards.{name}.action=warn"
            for name in ("mismatch", "constant_verdicts", "zero_rewards", "entropy_ceiling")
        ),
        *(f"{stage}.stop.steps={options.steps}" for stage in ("judge", "generate")),
        *options.overrides,
    ]


class Stages:
    """The two commands one after the other, their logs and their ends."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.options, self.work, self.begun = options, work, time.monotonic()
        self.lines: list[str] = []

    def run(self, stage: str, *arguments: str, kill_after: int = 0) -> bool:
        """Whether the stage ended well. The log goes to OUT. ``kill_after`` counts checkpoints, 0 kills nothing."""
        left = self.options.seconds - (time.monotonic() - self.begun)
        started, log = time.monotonic(), self.options.out / f"{stage}.log"
        command = ["timeout", "-k", "10", str(max(1, round(left))), sys.executable, "-m", f"judgerlvr.{stage}"]
        configuration = ["--config", str(empty_config(self.work))]
        with log.open("ab") as file:
            process = subprocess.Popen(
                [*command, *configuration, *arguments], stdout=file, stderr=file, start_new_session=True
            )
            if kill_after:
                self.kill(process, self.work / "runs" / "generate", kill_after)
            code = process.wait()
        end = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-1:]
        self.say(f"{stage}: exit code {code} after {time.monotonic() - started:.0f} s: {' '.join(end)[-300:]}")
        return code == 0

    def kill(self, process: subprocess.Popen, run: Path, checkpoints: int) -> None:
        """Send SIGKILL to the command and what shares its session, two seconds behind a seal."""
        while process.poll() is None and last_step(run) < checkpoints:
            time.sleep(0.5)
        time.sleep(2)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            self.say(f"killed after checkpoint {last_step(run)}")

    def say(self, line: str) -> None:
        self.lines.append(line)
        print(line, flush=True)

    def both(self) -> None:
        common = common_keys(self.options, self.work)
        policies = self.work / "policies"
        if self.options.stages != "generate" and not self.judges(common, policies / "judge"):
            return
        if self.options.stages == "judge":
            return
        if shutil.disk_usage(self.work).free < SPACE:
            for shards in (self.work / "runs" / "judge" / CHECKPOINTS).glob("global_step_*/actor"):
                shutil.rmtree(shards)
        start = self.work / "policy" if self.options.stages == "generate" else policies / "judge"
        init = ["--init", str(start), "--out", str(policies / "generate")]
        generate = [*common, *shlex.split(self.options.generate), "name=generate", *init]
        done = last_step(self.work / "runs" / "generate")
        if 0 <= done < self.options.kill_after:
            self.run("stage2_generate", *generate, kill_after=self.options.kill_after)
        if self.run("stage2_generate", *generate):
            self.loads("generate")
            if self.options.serve:
                self.serves("generate")

    def judges(self, common: list[str], policy: Path) -> bool:
        """Whether stage 1 ended well."""
        arguments = [*common, *shlex.split(self.options.judge), "name=judge", "--out", str(policy)]
        if done := self.run("stage1_judge", *arguments):
            self.loads("judge")
        return done

    def loads(self, name: str) -> None:
        """The policy in a bare process, which cannot import the product."""
        code = (
            "import sys; sys.modules['judgerlvr'] = None\n"
            "from transformers import AutoModelForCausalLM\n"
            f"model = AutoModelForCausalLM.from_pretrained({str(self.work / 'policies' / name)!r}, dtype='auto')\n"
            f"print({RESULT!r}, model.dtype, model.config._attn_implementation, model.num_parameters())\n"
        )
        self.say(f"{name} policy in a bare process: {in_new_process('-c', code)}")

    def serves(self, name: str) -> None:
        """The policy in a vLLM engine of its own: greedy tokens of one prompt."""
        code = (
            "from vllm import LLM, SamplingParams\n"
            "if __name__ == '__main__':\n"
            f"    engine = LLM({str(self.work / 'policies' / name)!r}, enforce_eager=True, max_model_len=1024,\n"
            "                 gpu_memory_utilization=0.1, kv_cache_memory_bytes=2**31)\n"
            "    done = engine.generate(['What is 1 plus 2?'], SamplingParams(temperature=0, max_tokens=8))\n"
            f"    print({RESULT!r}, 'tokens', done[0].outputs[0].token_ids)\n"
        )
        script = self.work / "serve.py"  # a file, because vLLM's own processes import the main module
        script.write_text(code)
        self.say(f"{name} policy in vLLM: {in_new_process(str(script))}")


def in_new_process(*arguments: str) -> str:
    """The line that a new Python process marked as its result, or its exit code and its last line."""
    environment = os.environ | COMMON  # without flashinfer installed, vLLM would not start
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    found = [line.removeprefix(RESULT) for line in lines if line.startswith(RESULT)]
    return found[-1] if found else f"exit code {done.returncode}: {''.join(lines[-1:])}"


def last_step(run: Path) -> int:
    """The last sealed step of a run folder, 0 where none is sealed, -1 where the run has ended."""
    if (run / MANIFEST).is_file() and read_manifest(run).export:
        return -1
    return max(map(step_of, complete(run / CHECKPOINTS)), default=0)


def empty_config(work: Path) -> Path:
    """A configuration file without keys: the documented defaults hold."""
    path = work / "defaults.yaml"
    path.write_text("seed: 0\n")
    return path


def table(run: Path) -> list[str]:
    rows = [row for row in read_metrics(run / METRICS) if row.is_training]
    names = [name for name in dict.fromkeys(name for row in rows for name in row.values) if name.startswith(SHOWN)]
    lines = ["", f"## {run.name}", "", "| metric |" + "".join(f" step {row.step} |" for row in rows)]
    lines.append("| --- |" + " --- |" * len(rows))
    values = [[row.values.get(name, float("nan")) for row in rows] for name in names]
    return lines + [f"| {n} |" + "".join(f" {x:.4g} |" for x in row) for n, row in zip(names, values, strict=True)]


def main() -> int:
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    work = (options.work or options.out / "work").resolve()
    work.mkdir(parents=True, exist_ok=True)
    write_data(work, problems=200)
    if not (work / "policy").is_dir():
        make_policy(options.shape, work, options.mean_tokens)
    stages = Stages(options, work)
    stages.both()
    lines = [f"{name}: {value}  " for name, value in heading().items()]
    lines += ["", f"shape {options.shape}, {' '.join(sys.argv[1:])}", "", *stages.lines]
    for run in sorted(path for path in (work / "runs").glob("*/") if (path / METRICS).is_file()):
        lines += table(run)
        for name in (MANIFEST, METRICS):
            if (run / name).is_file():
                shutil.copy(run / name, options.out / f"{run.name}-{name}")
    (options.out / "stages.md").write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
