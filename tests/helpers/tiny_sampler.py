"""A stand-in for an engine. Prompts of the tiny world get drawn traces, at the place where an engine is asked."""

import random
from dataclasses import replace

from judgerlvr.models.directory import load_tokenizer
from judgerlvr.sampling.requests import Finished
from judgerlvr.tinyworld.task import World, parse_chain
from judgerlvr.tinyworld.trace_parsing import read_response
from judgerlvr.tinyworld.traces import Style, Tracer


class TinySampler:
    """Solves and judges by ``Tracer``. Greedy responses are direct, and so are responses without rechecks."""

    def __init__(self, model_dir, context, engine):
        self.context = context
        self.tokenizer, self.tracer = load_tokenizer(model_dir), Tracer(World())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def sample(self, prompts, decoding, progress=False, banned=()):
        places = [(place, index) for place in range(len(prompts.items)) for index in range(decoding.n)]
        return [self._one(prompts, place, index, decoding, banned) for place, index in places]

    def sample_steered(self, prompts, decoding, steering):
        """Direct solutions, with each step written once more."""
        samples = self.sample(prompts, decoding, banned=(0, 0))
        return [replace(sample, response=with_rechecks(sample.response), mean_logprob=None) for sample in samples]

    def _one(self, prompts, place, index, decoding, banned):
        request = prompts.request("r", place, index, decoding)
        draw = random.Random(f"{request.seed} {prompts.items[place].id} {len(banned)}")
        text = self.respond(draw, prompts.items[place], Style.DIRECT if banned or decoding.greedy else None)
        tokens = len(self.tokenizer.encode(text, add_special_tokens=False))
        return prompts.sample(place, index, decoding, Finished("r", text, tokens, 1, False, "stop", None, -0.5))

    def respond(self, draw, item, style):
        chain = parse_chain(item.problem.text)
        if item.label is None:
            return self.tracer.solve(draw, chain, style)
        shown = read_response(item.prompt[-1]["content"].partition("Solution:\n")[2]).thinking
        # A verdict in ten is missing.
        return self.tracer.judge(draw, chain, shown) if draw.random() < 0.9 else "<think>\n</think>\nPerhaps"


def with_rechecks(response):
    """A direct response with ``wait`` and the same step behind each step of the thinking part."""
    thinking, tag, rest = response.partition("\n</think>")
    first, *steps = thinking.split("\n")
    return "\n".join([first, *(f"{step}\nwait\n{step}" for step in steps)]) + tag + rest
