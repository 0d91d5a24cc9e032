"""An independent HySparse model in plain torch: a query at a time, from a table of weights, without our package.

The twin reads the configuration's fields and the parameters by name. The twin shares no code with the judged model.
"""

import math

import torch
from torch.nn.functional import linear, silu


class Twin:
    """Next-token loss of a sequence, in float64. ``weights`` are leaves by the model's names of parameters."""

    def __init__(self, config, weights):
        self.config, self.weights = config, weights

    def loss(self, ids):
        """Mean cross-entropy of ``ids`` [tokens] after the first."""
        log_probabilities = self.logits(ids)[:-1].log_softmax(-1)
        return -torch.stack([row[token] for row, token in zip(log_probabilities, ids[1:], strict=True)]).mean()

    def logits(self, ids):
        stream, shared = self.weights["model.embed_tokens.weight"][ids], None
        for number, kind in enumerate(self.config.layer_types):
            name = f"model.layers.{number}"
            normed = self.norm(stream, f"{name}.input_layernorm")
            if kind == "full_attention":
                attended, shared = self.full(normed, f"{name}.self_attn")
            else:
                attended = self.sparse(normed, f"{name}.self_attn", *shared)
            stream = stream + attended
            stream = stream + self.feed(self.norm(stream, f"{name}.post_attention_layernorm"), f"{name}.mlp")
        return self.project(self.norm(stream, "model.norm"), "lm_head")

    def norm(self, rows, name):
        """Root-mean-square norm over the last axis. A model without this norm has no weight of the name."""
        if f"{name}.weight" not in self.weights:
            return rows
        scale = (rows.square().mean(-1, keepdim=True) + self.config.rms_norm_eps).sqrt()
        return rows / scale * self.weights[f"{name}.weight"]

    def project(self, rows, name):
        return linear(rows, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))

    def heads(self, rows, name, norm=None, turned=True):
        """[tokens, heads, dim] of a projection, normalised and rotated where asked."""
        split = self.project(rows, name).reshape(len(rows), -1, self.config.head_dim)
        split = self.norm(split, norm) if norm else split
        return self.turn(split) if turned else split

    def turn(self, heads):
        """RoPE: dimension i and dimension i + dim / 2 make a complex number."""
        half, theta = heads.shape[-1] // 2, self.config.rope_parameters["rope_theta"]
        speed = torch.tensor([theta ** (-2 * i / heads.shape[-1]) for i in range(half)], dtype=torch.float64)
        angle = torch.arange(len(heads), dtype=torch.float64)[:, None] * speed
        number = torch.complex(heads[..., :half], heads[..., half:])
        turned = number * torch.polar(torch.ones_like(angle), angle)[:, None]
        return torch.cat([turned.real, turned.imag], dim=-1)

    def full(self, normed, name):
        """Output of a full layer, and (keys, values, chosen keys of each query and KV head)."""
        q = self.heads(normed, f"{name}.q_proj", f"{name}.q_norm")
        k = self.heads(normed, f"{name}.k_proj", f"{name}.k_norm")
        v = self.heads(normed, f"{name}.v_proj", turned=False)
        sinks, rows, chosen = self.weights.get(f"{name}.sinks"), [], []
        for t in range(len(q)):
            probabilities, row = self.attend(q[t], k, v, [range(t + 1)] * k.shape[1], sinks)
            rows.append(row)
            chosen.append([self.best_blocks(head, t) for head in probabilities])
        return self.out(torch.stack(rows), normed, name, "gate"), (k, v, chosen)

    def sparse(self, normed, name, keys, values, chosen):
        """Output of a sparse layer over the chosen keys and over its own window."""
        q = self.heads(normed, f"{name}.q_proj", f"{name}.q_norm")
        k = self.heads(normed, f"{name}.k_proj", f"{name}.k_norm")
        v = self.heads(normed, f"{name}.v_proj", turned=False)
        far, near = [], []
        for t in range(len(q)):
            window = range(max(0, t + 1 - self.config.sliding_window), t + 1)
            far.append(self.attend(q[t], keys, values, chosen[t], self.weights.get(f"{name}.sinks_sparse"))[1])
            near.append(self.attend(q[t], k, v, [window] * k.shape[1], self.weights.get(f"{name}.sinks_swa"))[1])
        both = self.gated(torch.stack(far), normed, f"{name}.g_sparse")
        both = both + self.gated(torch.stack(near), normed, f"{name}.g_swa")
        return self.project(both.flatten(1), f"{name}.o_proj")

    def out(self, heads, normed, name, gate):
        return self.project(self.gated(heads, normed, f"{name}.{gate}").flatten(1), f"{name}.o_proj")

    def gated(self, heads, normed, name):
        """[tokens, heads, dim] under a sigmoid of the layer's normalised input."""
        if f"{name}.weight" not in self.weights:
            return heads
        return heads * self.project(normed, name).reshape(len(heads), heads.shape[1], -1).sigmoid()

    def attend(self, q, k, v, seen, sinks):
        """A query [heads, dim] over the keys ``seen`` by each KV head: probabilities by KV head, and the output."""
        group, rows, probabilities = len(q) // k.shape[1], [], []
        for head, places in enumerate(seen):
            own = slice(head * group, (head + 1) * group)
            logits = q[own] @ k[list(places), head].T / math.sqrt(q.shape[-1])
            if sinks is not None:
                logits = torch.cat([logits, sinks[own, None]], dim=1)
            weights = logits.softmax(-1)[:, : len(places)]
            probabilities.append(weights)
            rows.append(weights @ v[list(places), head])
        return probabilities, torch.cat(rows)

    def best_blocks(self, probabilities, last):
        """Keys of the blocks with the largest probability of any query head, up to key ``last``."""
        size = self.config.select_block
        score = {
            start: float(probabilities[:, start : start + size].detach().max()) for start in range(0, last + 1, size)
        }
        best = sorted(score, key=lambda start: (-score[start], start))[: self.config.select_tokens // size]
        return [place for start in sorted(best) for place in range(start, min(start + size, last + 1))]

    def feed(self, rows, name):
        """SwiGLU, or the weighted experts of each token."""
        if f"{name}.gate.weight" not in self.weights:
            gate, up = self.project(rows, f"{name}.gate_proj"), self.project(rows, f"{name}.up_proj")
            return self.project(silu(gate) * up, f"{name}.down_proj")
        return torch.stack([self.mixture(row, name) for row in rows])

    def mixture(self, row, name):
        probabilities = self.project(row, f"{name}.gate").softmax(-1)
        used = sorted(range(len(probabilities)), key=lambda expert: -float(probabilities[expert].detach()))
        used = used[: self.config.num_experts_per_tok]
        total = probabilities[used].sum() if self.config.norm_topk_prob else 1.0
        fed = torch.zeros_like(row)
        for expert in used:
            gate, up = (self.weights[f"{name}.experts.gate_up_proj"][expert] @ row).chunk(2)
            hidden = self.weights[f"{name}.experts.down_proj"][expert] @ (silu(gate) * up)
            fed = fed + probabilities[expert] / total * hidden
        return fed
