"""Every key of a run's configuration, with its documentation beside it.

The same file serves both stages, evaluation and data preparation. Whatever can be derived is not a key:
mini- and micro-batches, worker counts and verl's settings follow from these and are printed at start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from judgerlvr.config.choices import (
    Device,
    Extraction,
    Importance,
    Loss,
    Overlong,
    Recompute,
    TrainerMode,
    View,
)
from judgerlvr.config.documented import data_key, doc, path_key, run_key, section
from judgerlvr.config.domains import (
    COUNT,
    COUNT_OR_OFF,
    NOT_NEGATIVE,
    POSITIVE,
    SEED,
    SHARE,
    TINY,
    TOKENS_OR_OFF,
    Choice,
    Either,
    FolderName,
    Items,
    Pattern,
    Range,
    Text,
)
from judgerlvr.config.guards import Guards
from judgerlvr.config.solving import Solving

Kind = Literal["judge", "generate"]
MATCH_TOKENS = "match_tokens"
# Name of our attention over packed rows among transformers' attentions.
PACKED = "packed_sdpa"
TEMPERATURE = Range(above=0, most=100)
CLIP = Range(above=0, most=100)
# A ratio is never below 0.
CLIP_LOW = Range(above=0, most=1)


@dataclass
class Model:
    path: str = path_key("judgerlvr/tinyworld/base/qwen3_moe", "Directory of the first policy, or a name of the hub.")
    trust_remote_code: bool = doc(False, "Let transformers run code that lies in the model directory.")
    replay_experts: bool = doc(False, "Qwen3-MoE: train with the experts that the rollout chose, not with own choices.")


@dataclass
class Data:
    train: list[str] = data_key(
        [],
        "Training problems: files, globs or names of the hub (docs/data.md). Empty: the tiny world.",
    )
    heldout: list[str] = data_key([], "Held-out problems for validation during training; never trained on.")
    evaluation: list[str] = data_key([], "Evaluation sets that training data must not overlap (n-gram check).")
    contamination: str = doc(
        "stop", "What an overlap with an evaluation set does: stop | drop.", Choice(("stop", "drop"))
    )
    prompt: str = path_key("configs/prompts/generate.txt", "Template of the generation prompt; field {{problem}}.")
    columns: dict[str, str] = doc(
        {},
        "Columns with unusual names: {problem: NAME, gold: NAME, ...}, see docs/data.md.",
    )
    bad_rows: str = doc(
        "stop",
        "What rows that cannot be used do: stop (all of them are named) | drop.",
        Choice(("stop", "drop")),
    )
    tiny_train: int = doc(2000, "Problems generated for training when data.train is empty.", TINY)
    tiny_heldout: int = doc(400, "Problems generated for validation and evaluation when data.heldout is empty.", TINY)


@dataclass
class JudgeData:
    responses: list[str] = data_key([], "Files of candidate solutions; empty: sampled from judge.sample_from.")
    sample_from: list[str] = path_key([], "Model directories to sample candidates from; empty: the starting policy.")
    samples_per_problem: int = doc(8, "Candidates sampled for each problem and model.", COUNT)
    problems: int = doc(0, "Training problems to sample candidates for; 0: all.", COUNT_OR_OFF)
    candidates: str = doc(
        "fixed",
        "fixed, or refresh_every:N to re-sample from the current policy each N steps.",
        Pattern(r"fixed|refresh_every:[1-9]\d{0,8}", "fixed or refresh_every:N"),
    )
    prompt: str = path_key(
        "configs/prompts/judge.txt", "Template of the judge prompt; fields {{problem}} {{response}}."
    )
    view: View = doc(View.solution, "What the judge sees: solution (after the thinking part) | full_response.")
    verdicts: list[str] = doc(
        ["Yes", "No"],
        "Verdict words, boxed, for a right and a wrong solution.",
        Items(Pattern(r"[^\s{}\\](?:[^{}\\]*[^\s{}\\])?", "a word without braces"), count=2),
    )
    cap_per_problem: int = doc(4, "Most right and most wrong solutions kept for one problem.", COUNT)
    heldout_problems: int = doc(100, "Problems held out of judge training to measure balanced accuracy.", COUNT_OR_OFF)
    shuffle_labels: bool = doc(False, "Control: permute the training labels; nothing about judging can be learnt then.")


@dataclass
class Batch:
    prompts_per_step: int | str = doc(
        32,
        "Prompts in a step; judge stage only: match_tokens (the generate stage's tokens).",
        Either(COUNT, MATCH_TOKENS),
    )
    # An advantage compares the responses of a group, so a group has two or more.
    samples_per_prompt: int = doc(8, "Responses sampled for each prompt: the group.", Range(least=2, most=65536))
    updates_per_step: int = doc(4, "Optimiser updates made from one step's samples.", COUNT)

    @property
    def fixed_prompts(self) -> int:
        """``prompts_per_step`` of a stage that match_tokens does not size."""
        if not isinstance(self.prompts_per_step, int):
            raise ValueError(f"prompts_per_step is {self.prompts_per_step!r}")
        return self.prompts_per_step


@dataclass
class Plateau:
    steps: int = doc(
        0, "Stop when held-out balanced accuracy has not improved for this many steps; 0: off.", COUNT_OR_OFF
    )
    min_gain: float = doc(0.005, "The least gain in balanced accuracy that counts as an improvement.", SHARE)


@dataclass
class Stop:
    steps: int = doc(100, "Stop after this many steps.", COUNT)
    generated_tokens: int = doc(0, "Stop once this many tokens were sampled in all; 0: no limit.", TOKENS_OR_OFF)
    tokens_of: list[str] = run_key(
        [],
        "Stop once as many tokens were sampled as in these run folders, finished or not; empty: no limit.",
    )
    hours: float = doc(0.0, "Stop once the run has taken this long; 0: no limit.", NOT_NEGATIVE)
    grace_seconds: float = doc(
        0.0,
        "Most seconds in which a step is finished after TERM or INT; 0: a step before its update is finished without "
        "a limit, and a step in its update is dropped.",
        NOT_NEGATIVE,
    )
    plateau: Plateau = section(Plateau)


@dataclass
class Algorithm:
    loss: Loss = doc(Loss.grpo, "grpo (token-level ratio) | gspo (sequence-level ratio, steadier for MoE).")
    clip_low: float = doc(0.2, "Lower clip range of the probability ratio (gspo: 3e-4 is usual).", CLIP_LOW)
    clip_high: float = doc(0.28, "Upper clip range; above clip_low is DAPO's clip-higher (gspo: 4e-4).", CLIP)
    divide_by_std: bool = doc(True, "Divide the advantage by the group's std; false is Dr.GRPO's switch.")
    dynamic_sampling: bool = doc(True, "Replace groups whose rewards are all equal by fresh prompts (DAPO).")
    max_extra_rounds: int = doc(
        2, "Most extra batches of prompts drawn in a step to replace uniform groups.", Range(least=0, most=1000)
    )
    overlong: Overlong = doc(Overlong.mask, "Truncated responses: mask (no loss) | wrong | penalty (a length term).")
    overlong_buffer: int = doc(
        0, "penalty only: tokens before the limit over which DAPO's penalty grows.", COUNT_OR_OFF
    )
    importance_cap: float = doc(2.0, "Cap of the rollout/trainer importance weights (TIS); 0: off.", NOT_NEGATIVE)
    importance_level: Importance = doc(Importance.token, "Weights of tokens or of whole sequences: token | sequence.")
    old_log_probs_every: int = doc(
        1,
        "On a CPU the trainer computes old log-probabilities on step 1 and each so many steps. Other steps take the "
        "rollout's; 1: every step. A GPU computes all: nobody has measured that there.",
        COUNT,
    )


@dataclass
class Optimizer:
    lr: float = doc(1e-6, "Learning rate after warm-up, constant.", Range(above=0, most=1))
    warmup_steps: int = doc(
        0,
        "Steps over which the learning rate rises from 0. The updates of the first of these have rate 0.",
        COUNT_OR_OFF,
    )
    weight_decay: float = doc(0.0, "AdamW weight decay.", SHARE)
    grad_clip: float = doc(1.0, "Largest norm of the gradient.", POSITIVE)


@dataclass
class Validation:
    every: int = doc(0, "Validate on held-out prompts each so many steps and at the end; 0: never.", COUNT_OR_OFF)
    prompts: int = doc(200, "Held-out prompts used; 0: all.", COUNT_OR_OFF)
    samples: int = doc(1, "Responses sampled for each of them.", COUNT)
    temperature: float = doc(1.0, "Sampling temperature of validation.", Range(least=0, most=100))


@dataclass
class Checkpoint:
    every: int = doc(0, "Save each so many steps and at the end; 0: only at the end.", COUNT_OR_OFF)
    keep: int = doc(2, "Newest checkpoints kept; 0: all.", COUNT_OR_OFF)
    upload: str = doc(
        "",
        "Address of a folder in object storage (fsspec, e.g. s3://bucket/runs) for a compared copy of each checkpoint.",
        Pattern(r"|[a-z][a-z0-9+.-]*://[^\s]+", "an address such as s3://bucket/runs, or nothing"),
    )


@dataclass
class StageSettings:
    batch: Batch = section(Batch)
    stop: Stop = section(Stop)
    algorithm: Algorithm = section(Algorithm)
    optimizer: Optimizer = section(Optimizer)
    validation: Validation = section(Validation)
    checkpoint: Checkpoint = section(Checkpoint)
    max_response_tokens: int = doc(8192, "Longest response sampled.", COUNT)
    agent_loop: str = doc(
        "",
        "package.module:Class, an agent loop of your own for the samples of training (docs/training.md); empty: one "
        "request a response.",
        Pattern(r"|[\w.]+:\w+", "package.module:Class, or nothing"),
    )


@dataclass
class JudgeStage(StageSettings):
    data: JudgeData = section(JudgeData)
    solving: Solving = section(Solving)


@dataclass
class GenerateStage(StageSettings):
    pass


@dataclass
class Reward:
    verifier: str = doc(
        "rewards.math:verify",
        "package.module:function, (problem, answer) -> Result; both stages.",
        Pattern(r"[\w.]+:\w+", "package.module:function"),
    )
    extraction: Extraction = doc(Extraction.strict, "strict: the last complete box | lenient: other usual forms too.")
    workers: int = doc(2, "Grading processes for each reward actor.", Range(least=1, most=4096))
    canary_every: int = doc(
        20, "Steps between gradings of gold answers against themselves; below 100 % stops.", COUNT_OR_OFF
    )


@dataclass
class Cluster:
    device: Device = doc(Device.auto, "cpu | gpu | auto (gpu where torch sees one).")
    nodes: int = doc(1, "Machines.", Range(least=1, most=100000))
    gpus_per_node: int = doc(
        1,
        "GPUs on each machine. On a CPU: training processes, each with a rollout engine.",
        Range(least=1, most=1024),
    )
    rollout_gpus_per_node: int = doc(
        0,
        "separate_async: GPUs of each machine for rollout engines alone, beside gpus_per_node. On a CPU: engines. "
        "0: the rollout shares the trainer's.",
        Range(least=0, most=1024),
    )
    tensor_parallel: int = doc(1, "GPUs that one rollout engine spans.", Range(least=1, most=1024))
    rollout_gpu_share: float = doc(
        0.5, "Share of a GPU's memory for the rollout engine, above 0 and below 1.", Range(above=0, below=1)
    )
    rollout_cpu_gib: float = doc(
        1.0, "GiB of KV cache of the rollout engine on a CPU, at least 1.", Range(least=1, most=1e6)
    )
    trainer_mode: TrainerMode = doc(
        TrainerMode.sync,
        "sync: a step trains on samples of its own weights | colocate_async: sampling goes on over updates | "
        "separate_async: sampling goes on during updates, on GPUs of its own. With the last two a run is not resumable "
        "to the bit.",
    )
    max_off_policy_steps: int = doc(
        4,
        "colocate_async, separate_async: versions of the weights that a response may span. A step waits for older "
        "prompts.",
        Range(least=1, most=1000),
    )
    rollout_engine: dict[str, Any] = doc(
        {}, "Further arguments of vLLM's engine, e.g. {attention_backend: TRITON_ATTN}."
    )
    sequence_parallel: int = doc(
        1,
        "GPUs that share the tokens of one forward pass of the trainer (Ulysses), for sequences that one cannot hold.",
        Range(least=1, most=1024),
    )
    micro_batch_tokens: int = doc(
        32768,
        "Most tokens of a forward pass of the trainer on each GPU. Where prefixes are shared, four times as many "
        "without gradients.",
        COUNT,
    )
    share_prefixes: bool = doc(
        False,
        "On a CPU the trainer computes each distinct prefix of a forward pass once, such as a prompt with several "
        "samples. A GPU computes all: nobody has measured sharing there.",
    )
    recompute: Recompute = doc(
        Recompute.auto,
        "What an update computes again in its backward pass to save memory: all (of each layer) | attention (all but "
        "it) | none | auto (GPU: all, CPU: none).",
    )
    compile: bool = doc(True, "GPU: fuse norms, rotary embedding and the head's softmax with torch.compile.")
    offload: bool = doc(False, "Keep parameters and optimiser state in host memory between updates.")
    attention: str = doc(
        "auto",
        "transformers' attn_implementation; auto: flash_attention_2 where a GPU has it, else packed_sdpa (ours).",
        Pattern(r"[\w./@-]+", "a name of transformers, e.g. sdpa"),
    )


@dataclass
class HySparse:
    replay: bool = doc(
        True, "HySparse policies: train with the blocks and experts that the rollout chose, not with own choices."
    )


@dataclass
class Planning:
    card: str = doc(
        "auto",
        "Card that --dry-run plans for: a100 | h100 | h200 (80, 80, 141 GB) | auto (this machine's).",
        Choice(("auto", "a100", "h100", "h200")),
    )
    host_gib: float = doc(
        0.0, "Host memory of one machine, GiB; 0: this machine's where it has the cards.", NOT_NEGATIVE
    )
    cpus: int = doc(0, "CPUs of one machine that Ray may use; 0: this machine's where it has the cards.", COUNT_OR_OFF)
    disk_gib: float = doc(0.0, "GiB free for checkpoints; 0: those free where `runs` lies.", NOT_NEGATIVE)
    network_gb_s: float = doc(50.0, "One card's share of the network between machines, GB/s (400 Gb/s: 50).", POSITIVE)
    measured: str = doc(
        "", "File of `python -m judgerlvr.measure`; empty: speeds of an H200 as the constants have them.", Text()
    )


@dataclass
class Logging:
    tensorboard: bool = doc(True, "Write TensorBoard files into the run folder.")
    wandb: bool = doc(False, "Log to Weights & Biases too (the package must be installed).")
    mlflow: bool = doc(False, "Log to MLflow too (the package must be installed), at MLFLOW_TRACKING_URI.")
    rollouts_per_step: int = doc(4, "Prompts of each step whose samples are written to rollouts/.", COUNT_OR_OFF)


@dataclass
class Config:
    name: str = doc("", "Name of the run folder; empty: the stage's name.", FolderName())
    runs: str = run_key("runs", "Folder that holds the run folders.")
    seed: int = doc(0, "Seed of data order, sampling and tiny-world generation.", SEED)
    max_prompt_tokens: int = doc(2048, "Longest prompt; longer ones are left out of training, with a count.", COUNT)
    temperature: float = doc(
        1.0, "Sampling temperature of training rollouts (top-p and top-k are always off).", TEMPERATURE
    )
    model: Model = section(Model)
    data: Data = section(Data)
    judge: JudgeStage = section(JudgeStage)
    generate: GenerateStage = section(GenerateStage)
    reward: Reward = section(Reward)
    guards: Guards = section(Guards)
    cluster: Cluster = section(Cluster)
    hysparse: HySparse = section(HySparse)
    planning: Planning = section(Planning)
    logging: Logging = section(Logging)
    engine: dict[str, Any] = doc({}, "Further settings of verl by their names there; none that a key above decides.")

    def settings(self, kind: Kind) -> JudgeStage | GenerateStage:
        """The settings of one stage."""
        return self.judge if kind == "judge" else self.generate

    def solves(self, kind: Kind) -> bool:
        """Whether a stage judges, and measures solving beside."""
        return kind == "judge" and self.judge.solving.problems > 0

    def longest_sampled(self, kind: Kind) -> int:
        """Tokens of the longest response that the engine of a stage samples, in training or validation."""
        own = self.settings(kind).max_response_tokens
        return max(own, self.generate.max_response_tokens) if self.solves(kind) else own
