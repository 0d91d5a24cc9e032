"""Every constant of the plan of a search and a distillation, with its source and its condition.

Bytes are those of plain PyTorch operations on the layers' tensors. The tests count both kinds of bytes again.
"""

from __future__ import annotations

from judgerlvr.config.sourced import Constant

# The card of the speeds below. Times on another card follow its data sheet.
MEASURED_ON = "h200"
DEFAULT_CARD = "h200"

# Products of weights by the hidden size, because wide products run faster. Between two sizes by interpolation.
PRODUCT_TFLOPS = {
    1024: Constant(450.0, "assumed", "bfloat16 products of 4,096 to 8,192 rows, hidden size 1,024"),
    2048: Constant(600.0, "assumed", "the same, hidden size 2,048"),
}
FULL_TFLOPS = Constant(400.0, "assumed", "full layers of 4,096 tokens, below the 523 that 32k tokens reach on an H100")
SELECTED_TFLOPS = Constant(78.8, "measured", "H200, 32k tokens, trained choices: 6.87 ms a layer, 2026-11-26")
WINDOW_TFLOPS = Constant(78.8, "assumed", "as selected blocks")
BANDWIDTH_SHARE = Constant(0.75, "assumed", "share of the published bandwidth that element-wise operations reach")
# The processor starts an operation after another. A layer takes no less. A faster or less busy host starts sooner.
LAUNCH_US = Constant(
    31.5, "measured", "two searches, 0.6 B and 1.7 B, H200, host of 32 shared cores, 2026-11-30: 2.0 ms a layer each"
)
# Operations and products or kernels of a layer: without gradients, and both ways.
SEARCH_LAUNCHES, TRAINED_LAUNCHES = 52 + 12, 192 + 45
DISTILLATION_START_S = Constant(0.64, "measured", "what two distillations of ten steps took beyond the rest, as above")
DISK_GB_S = Constant(1.5, "assumed", "weights and checkpoints, read or written")
# A backward pass multiplies twice for each product of the forward pass. Attention computes its products again.
BACKWARD_PRODUCTS, BACKWARD_ATTENTION = 2.0, 2.5

# Bytes that a layer's element-wise operations read and write, for a token and an element of: hidden states, queries,
# keys of a layer, dense feed-forward.
SEARCH_TRAFFIC = (84, 65, 70, 10)
TRAINED_TRAFFIC = (440, 270, 300, 28)
# Bytes that a layer saves for its backward pass under bf16 autocast with float32 weights, for the same elements.
SAVED_BY_FULL = (26, 12, 10, 8)
SAVED_BY_SPARSE = (30, 20, 18, 8)
# Bytes a token and layer that a forward pass without gradients holds at once, for hidden states and feed-forward.
HELD_BY_LAYER = (8, 6)
# Bytes of a logit: what is held at once, and what is read and written. A search has bf16 logits and their softmax in
# float32. A step of a distillation has the softmax of both models, the divergence and its gradient.
SEARCH_LOGIT_HELD, SEARCH_LOGIT_TRAFFIC = 8, 24
TRAINED_LOGIT_HELD, TRAINED_LOGIT_TRAFFIC = 20, 130
# While the logits of all tokens still stand: bytes of a logit of every token, and more of a learnt token.
ALL_LOGITS_HELD = (8, 4)
# An evaluation holds float32 logits of all tokens, those that are learnt, and their softmax.
HELDOUT_LOGIT_TRAFFIC = 30
# Bytes a parameter: the source in bf16, the student in float32 with AdamW's moments, and gradients.
SOURCE, STUDENT, ADAM, GRADIENTS = 2, 4, 8, 4
# Autocast keeps a bf16 copy of each multiplied weight until its backward pass.
CAST = 2
# Bytes a parameter of a step: AdamW reads and writes weights and moments, and gradients are clipped.
UPDATE_TRAFFIC = 40
# Bytes a multiplied weight of a pass: the cast of the weight, and the gradient on its way to float32.
CAST_TRAFFIC = 12
