"""An evaluation of a model: every prompt is encoded once, whatever the number of decodings."""

from data.identity import make_problem
from judgerlvr.evaluation.run import Settings, evaluate_model
from judgerlvr.sampling import requests, sampler
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.samples import generate_items
from judgerlvr.tinyworld.making.checkpoint import base_path


class NoEngine:
    """Stands for an engine whose responses are all empty."""

    def __init__(self, model_dir, context, engine):
        self.context = context

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def sample_each(self, prompts, decodings, progress):
        places = range(len(prompts.items))
        return [
            [prompts.sample(place, index, one, None) for place in places for index in range(one.n)] for one in decodings
        ]


def test_every_prompt_is_encoded_once(monkeypatch):
    encoded = []

    def encode(tokenizer, prompt):
        encoded.append(prompt)
        return [1, 2, 3]

    monkeypatch.setattr(requests, "encode_prompt", encode)
    monkeypatch.setattr(sampler, "Sampler", NoEngine)
    problems = [make_problem(f"{n}+1?", str(n + 1)) for n in range(5)]
    items = generate_items(problems, "{{problem}}", "sums")
    settings = Settings(Decoding(n=2, max_tokens=8), workers=1)
    evaluation = evaluate_model(base_path("qwen3"), items, settings)
    assert len(encoded) == 5
    assert evaluation.context == 3 + 8
    assert len(evaluation.records) == 5 * 2 + 5
