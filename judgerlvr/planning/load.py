"""What a stage asks of each card: ranks, samples, lengths. The numbers of a configuration, resolved for a stage."""

from __future__ import annotations

from dataclasses import dataclass

from judgerlvr.config.check import MATCH_TOKENS
from judgerlvr.config.choices import Recompute
from judgerlvr.config.schema import Config, Kind
from judgerlvr.planning.rollout_arguments import MAX_SEQUENCES, SHARE, rollout_fields


@dataclass(frozen=True)
class Load:
    """``longest`` is prompt and response, in tokens. A step samples ``prompts`` times ``samples_per_prompt``.

    ``rollout_gpus_per_node`` are the rollout's alone. With 0 the rollout shares the trainer's.
    An engine runs at most ``slots`` sequences, in a cache of ``kv_cache_bytes``, or of what the share leaves with 0.
    An engine's cache must hold a sequence of ``engine_context`` tokens. ``share_key`` gave ``rollout_share``.
    """

    kind: Kind
    nodes: int
    gpus_per_node: int
    tensor_parallel: int
    prompts: int
    samples_per_prompt: int
    updates: int
    longest: int
    response: int
    micro_batch_tokens: int
    rollout_share: float
    offload: bool
    recompute: Recompute = Recompute.all
    compile: bool = True
    sequence_parallel: int = 1
    rollout_gpus_per_node: int = 0
    replay_experts: bool = False
    slots: int = MAX_SEQUENCES
    kv_cache_bytes: int = 0
    engine_context: int = 0
    share_key: str = SHARE

    @property
    def ranks(self) -> int:
        """Ranks of the trainer."""
        return self.nodes * self.gpus_per_node

    @property
    def separate(self) -> bool:
        """Whether the rollout has GPUs of its own."""
        return self.rollout_gpus_per_node > 0

    @property
    def rollout_per_node(self) -> int:
        """GPUs of a machine that have rollout engines."""
        return self.rollout_gpus_per_node or self.gpus_per_node

    @property
    def rollout_ranks(self) -> int:
        return self.nodes * self.rollout_per_node

    @property
    def all_per_node(self) -> int:
        """GPUs that the stage takes of a machine."""
        return self.gpus_per_node + self.rollout_gpus_per_node

    @property
    def data_ranks(self) -> int:
        """Groups of ranks that share the tokens of a forward pass. Each group has samples of its own."""
        return max(1, self.ranks // self.sequence_parallel)

    @property
    def samples(self) -> int:
        """Samples of a step."""
        return self.prompts * self.samples_per_prompt

    @property
    def engines(self) -> int:
        return max(1, self.rollout_ranks // self.tensor_parallel)

    @property
    def samples_per_engine(self) -> int:
        return -(-self.samples // self.engines)

    @property
    def samples_per_update(self) -> int:
        """Samples of an optimiser update, over all ranks."""
        return self.samples // self.updates

    @property
    def micro_batch(self) -> int:
        """Most tokens of a forward pass that a rank can hold: an update may have fewer."""
        tokens = -(-self.samples_per_update // self.data_ranks) * self.longest
        return min(self.micro_batch_tokens, -(-tokens // self.sequence_parallel))


def load_of(kind: Kind, config: Config, prompts: int | None = None) -> Load:
    """The load of a stage. ``prompts`` overrides prompts a step, as ``match_tokens`` measures the number.

    Before match_tokens has measured, a judge step is planned with the prompts of a generate step.
    """
    settings, rollout = config.settings(kind), rollout_fields(config.cluster, config.engine)
    if config.solves(kind):
        solution = config.max_prompt_tokens + config.longest_sampled(kind)
        rollout["engine_context"] = max(rollout["engine_context"], solution)
    cluster, batch = config.cluster, settings.batch
    given = config.generate.batch.prompts_per_step if batch.prompts_per_step == MATCH_TOKENS else batch.prompts_per_step
    return Load(
        kind=kind,
        nodes=cluster.nodes,
        gpus_per_node=cluster.gpus_per_node,
        tensor_parallel=cluster.tensor_parallel,
        prompts=prompts or int(given),
        samples_per_prompt=batch.samples_per_prompt,
        updates=batch.updates_per_step,
        longest=config.max_prompt_tokens + settings.max_response_tokens,
        response=settings.max_response_tokens,
        micro_batch_tokens=cluster.micro_batch_tokens,
        offload=cluster.offload,
        # Plans of memory and time are for GPUs, where auto recomputes all.
        recompute=Recompute.all if cluster.recompute is Recompute.auto else cluster.recompute,
        compile=cluster.compile,
        sequence_parallel=cluster.sequence_parallel,
        rollout_gpus_per_node=cluster.rollout_gpus_per_node,
        replay_experts=config.model.replay_experts,
        **rollout,
    )
