"""HySparse2 (arXiv 2609.26368) literally: a query at a time, in float64, from a table of weights.

Like its parent, the twin shares no code with the judged model. The twin walks the kinds of the layers itself and does
not ask the configuration for rows.
"""

import torch

from tests.helpers.hysparse_twin import Twin


class Twin2(Twin):
    """Logits and next-token loss of one sequence. Rotation, selection and bridges are written out again here."""

    def logits(self, ids):
        stream, inputs, cache = self.weights["model.embed_tokens.weight"][ids], [], None
        bridges = iter(self.config.bridges)
        for number, kind in enumerate(self.config.layer_types):
            name, in_self_decoder = f"model.layers.{number}", number < self.config.self_decoder_layers
            normed = self.norm(stream, f"{name}.input_layernorm")
            inputs.append(normed)
            if kind == "full_attention":
                bridged = normed if in_self_decoder else inputs[next(bridges)]
                attended, cache = self.everything(normed, bridged, f"{name}.self_attn")
            elif in_self_decoder:
                attended = self.near(normed, f"{name}.self_attn")
            else:
                attended = self.far(normed, f"{name}.self_attn", *cache)
            stream = stream + attended
            stream = stream + self.feed(self.norm(stream, f"{name}.post_attention_layernorm"), f"{name}.mlp")
        head = "model.embed_tokens" if self.config.tie_word_embeddings else "lm_head"
        return self.project(self.norm(stream, "model.norm"), head)

    def turn(self, heads):
        """RoPE of the first part of each head. The rest of the head keeps its direction."""
        turning = int(heads.shape[-1] * self.config.rope_parameters.get("partial_rotary_factor", 1.0))
        return torch.cat([super().turn(heads[..., :turning]), heads[..., turning:]], dim=-1)

    def values(self, rows, name):
        return self.project(rows, f"{name}.v_proj").reshape(len(rows), self.config.num_key_value_heads, -1)

    def everything(self, normed, bridged, name):
        """Output of a full layer with K and V of ``bridged``, and (keys, values, chosen tokens of each query)."""
        turned = self.config.rotary_layers == "every"
        q = self.heads(normed, f"{name}.q_proj", f"{name}.q_norm", turned)
        k = self.heads(bridged, f"{name}.k_proj", f"{name}.k_norm", turned)
        v, sinks, rows, chosen = self.values(bridged, name), self.weights.get(f"{name}.sinks"), [], []
        for t in range(len(q)):
            probabilities, row = self.attend(q[t], k, v, [range(t + 1)] * k.shape[1], sinks)
            rows.append(row)
            chosen.append([self.best_tokens(head, t) for head in probabilities])
        return self.out(torch.stack(rows), normed, name, "gate"), (k, v, chosen)

    def near(self, normed, name):
        """Output of a window layer of the self-decoder."""
        q = self.heads(normed, f"{name}.q_proj", f"{name}.q_norm")
        k, v = self.heads(normed, f"{name}.k_proj", f"{name}.k_norm"), self.values(normed, name)
        windows = [range(max(0, t + 1 - self.config.sliding_window), t + 1) for t in range(len(q))]
        sinks = self.weights.get(f"{name}.sinks_swa")
        rows = [self.attend(q[t], k, v, [seen] * k.shape[1], sinks)[1] for t, seen in enumerate(windows)]
        return self.out(torch.stack(rows), normed, name, "g_swa")

    def far(self, normed, name, keys, values, chosen):
        """Output of a sparse layer of the cross-decoder, which makes no keys."""
        q = self.heads(normed, f"{name}.q_proj", f"{name}.q_norm", self.config.rotary_layers == "every")
        sinks = self.weights.get(f"{name}.sinks_sparse")
        rows = [self.attend(q[t], keys, values, seen, sinks)[1] for t, seen in enumerate(chosen)]
        return self.out(torch.stack(rows), normed, name, "g_sparse")

    def best_tokens(self, probabilities, last):
        """The newest tokens up to ``last``, and of the others those with the largest probability of any head."""
        newest = range(max(0, last + 1 - self.config.forced_local_blocks), last + 1)
        others = [(-float(probabilities[:, place].detach().max()), place) for place in range(newest.start)]
        wanted = self.config.select_tokens - self.config.forced_local_blocks
        return sorted(place for _, place in sorted(others)[:wanted]) + list(newest)
