"""Every constant of the planner, with its source and its condition.

``measured``: the card that the condition names, 2026-11-28 or the condition's own day, torch 2.11, vLLM 0.24, verl
0.9.1, transformers 5.9, no flash-attn, random weights in the layer shape of Qwen3-30B-A3B (hidden 2,048, 128 experts of
768, 8 active, vocabulary 151,936) unless the condition names another policy.
``published``: a maker's data sheet. ``calculated``: follows from other figures. ``assumed``: neither; the plan says so.
``python -m judgerlvr.measure`` replaces the speeds by the speeds of the user's own cards.
"""

from __future__ import annotations

from judgerlvr.config.sourced import Constant

# The card that every speed of the trainer below was measured on.
MEASURED_ON = "h200"
DEFAULT_CARD = "h100"

PASSES = "H200, both passes alone, vocabulary 151,936, sequences of 2,048 to 4,096, micro-batches of 32,768, 2026-11-29"
STAGE = "one H200, steps of a judge stage, sequences of 4,240, micro-batches of 32,768, 2026-11-29"

# Speed of the trainer. TFLOP/s count the operations of the formula in ``speed``, not the operations of the hardware.
HEAD_FORWARD_TFLOPS = Constant(330.0, "assumed", "log-probability and entropy in the head, split off the fitted passes")
HEAD_UPDATE_TFLOPS = Constant(330.0, "assumed", "as forward; with it mixture and dense layers come out equally fast")
MIXTURE_FORWARD_TFLOPS = Constant(250.0, "measured", f"{PASSES}: 3.5 us a token less head and attention")
MIXTURE_UPDATE_TFLOPS = Constant(200.0, "measured", f"{PASSES}: 13.3 us a token less head and attention, recomputing")
# Dense layers by their hidden size, because wide products run faster. Between two sizes by interpolation.
DENSE_FORWARD_TFLOPS = {
    1024: Constant(260.0, "measured", f"{PASSES}, 0.6 B: 5.4 us a token less head and attention"),
    2048: Constant(470.0, "measured", f"{STAGE}, 1.7 B: 10.3 us a token less head, attention and overhead"),
}
DENSE_UPDATE_TFLOPS = {
    1024: Constant(240.0, "measured", f"{PASSES}, 0.6 B, recomputing: 21.7 us a token less head and attention"),
    2048: Constant(520.0, "measured", f"{STAGE}, 1.7 B, recomputing: 35.1 us a token less the same and overhead"),
}
ATTENTION_TFLOPS = Constant(345.0, "measured", "H200, 4 sequences of 8,192, 32 heads of 128: 19.1 ms both ways")
LOG_PROB_OVERHEAD_US = Constant(1.0, "assumed", "batches between processes, padding of a micro-batch")
UPDATE_OVERHEAD_US = Constant(2.0, "assumed", "as for log-probabilities, and the optimiser's own step")

# Speed of rollouts. A step of an engine reads the weights once and each running sequence's keys and values.
DECODE_STEP_MS = Constant(
    3.0, "measured", "two stages on H200, CUDA graphs of decoding: 4.4 and 10.2 ms less reading and multiplying"
)
DECODE_TFLOPS = Constant(400.0, "assumed", "bfloat16 products of a batch of sequences while sampling")
SYNC_GB_S = Constant(
    6.2, "measured", "two H200, weights of 2.49 B (5 GB in bfloat16) reach the rollout in 0.5 to 1.1 s"
)
START_MINUTES = Constant(
    4.6, "measured", "H200, start to first rollout with CUDA graphs, 2.49 B, weights from disk cache"
)

# Links between cards and with the host, GB/s a card.
NVLINK_GB_S = Constant(270.0, "assumed", "gathers within a machine of the H100 or H200 kind: 0.6 of 450 GB/s each way")
NETWORK_SHARE = Constant(0.7, "assumed", "share of planning.network_gb_s that gathers across machines reach")
PCIE_GB_S = Constant(25.0, "assumed", "pinned host memory to card, PCIe 5 x16, several cards at once")

# Cards of the largest run that a plan was compared with (benchmarks/results/flowing-two-h200-2026-11-30).
COMPARED_CARDS = 2

# Memory.
# Logits that the training engine's head holds at once on a GPU, and the bytes of a logit with all copies.
HEAD_LOGITS = 2**28
HEAD_FORWARD_BYTES = Constant(2.0, "calculated", "bfloat16 logits, read by one compiled kernel (cluster.compile)")
HEAD_UPDATE_BYTES = Constant(4.0, "calculated", "bfloat16 logits and gradient, between them one compiled kernel")
HEAD_PLAIN_BYTES = Constant(12.0, "calculated", "without cluster.compile: three float32 tensors beside the logits")
VLLM_GIB = Constant(
    2.6, "calculated", "30B-A3B, share 0.5 of 79.1 GiB, tensor parallel 2: 188 k tokens of cache remain"
)
OUTSIDE_GIB = Constant(3.0, "assumed", "two CUDA contexts, NCCL buffers, the graphs of a sleeping rollout engine")
FRAGMENTATION = Constant(0.03, "assumed", "share of the card that torch's allocator reserves and cannot use")
HYSPARSE_ATTENTION = Constant(12.0, "assumed", "bytes a token and query element that gates and second branch add")
SAMPLE_TOKEN_BYTES = Constant(
    128.0, "assumed", "token ids, masks, log-probabilities, advantages in verl's transfer queue"
)

# verl's actors, by reading verl 0.9.1 and the transfer queue.
CPUS_PER_GPU = 3
# Of a GPU that the rollout alone has.
CPUS_PER_ROLLOUT_GPU = 2
CPUS_BESIDE = 2
