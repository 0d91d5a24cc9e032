"""Engines without a model that answer known prompts with given texts."""

from judgerlvr.models.directory import load_tokenizer
from judgerlvr.models.prompt_tokens import encode_prompt
from judgerlvr.sampling.requests import Finished
from tests.helpers.fake_engines import FakeEngines


class AnsweringEngines(FakeEngines):
    """``answers`` maps the text of a prompt to a response. ``cut`` names responses that end at the limit."""

    def __init__(self, model, answers, cut=(), **settings):
        super().__init__(**settings)
        tokenizer = load_tokenizer(model)
        self.cut = set(cut)
        self.by_ids = {
            tuple(encode_prompt(tokenizer, [{"role": "user", "content": text}])): answer
            for text, answer in answers.items()
        }
        assert len(self.by_ids) == len(answers), "the tokenizer tells all prompts apart"

    def finish(self, request):
        text = self.by_ids[tuple(request.ids)]
        ended = "length" if text in self.cut else "stop"
        return Finished(request.name, text, len(text), 0, False, ended, None, -1.0)
