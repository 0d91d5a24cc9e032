"""Engines without a model: a response is a function of the request, and an engine dies when the test says so."""

import hashlib
import random

from judgerlvr.sampling.engines import Lost, Started, Turned
from judgerlvr.sampling.requests import Finished


def response_to(request):
    """The text that any engine gives to a request."""
    digest = hashlib.sha256(f"{list(request.ids)}{request.seed}{request.limit}".encode()).hexdigest()
    return f"says {digest[:8]}"


class FakeEngines:
    """Slots that end a random number of requests a turn. ``dies`` is asked before each turn of a slot."""

    def __init__(self, count=2, width=3, seed=0, dies=lambda turn: False):
        self.count, self.width, self.dies = count, width, dies
        self.draw = random.Random(seed)
        self.turns, self.loaded, self.held, self.events, self.asked = 0, [], {}, [], []
        self.most_held = 0

    def start(self, slot, model, context):
        self.loaded.append((slot, model))
        self.held[slot] = []
        self.events.append(Started(slot, self.width))

    def turn(self, slot, requests):
        self.turns += 1
        self.held[slot] += requests
        self.asked += requests
        self.most_held = max(self.most_held, len(self.held[slot]))
        if self.dies(self.turns):
            self.held[slot] = []
            self.events.append(Lost(slot, "killed"))
            return
        self.draw.shuffle(self.held[slot])
        ended = [self.held[slot].pop() for _ in range(self.draw.randint(0, len(self.held[slot])))]
        self.events.append(Turned(slot, [self.finish(request) for request in ended]))

    def finish(self, request):
        cut = request.limit < 4
        return Finished(request.name, response_to(request), 3, 0, cut, "length" if cut else "stop", None, -1.0)

    def stop(self, slot):
        self.held.pop(slot, None)

    def wait(self, seconds):
        events, self.events = self.events, []
        return events
