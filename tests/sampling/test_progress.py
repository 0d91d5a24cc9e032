"""Lines of progress: rates of this attempt, the time left, and the shares that a person should know."""

from types import SimpleNamespace

from judgerlvr.sampling.progress import Progress, shares


def work(samples, tokens, wanted, truncated=0, unclosed=0, thinks=False):
    counts = {"samples": samples, "tokens": tokens, "truncated": truncated, "unclosed": unclosed, "too long": 0}
    decoding = SimpleNamespace(name="T=1", max_tokens=64)
    job = SimpleNamespace(name="base", decoding=decoding)
    return SimpleNamespace(counts=counts, wanted=wanted, job=job, prompts=SimpleNamespace(opens_thinking=thinks))


def told(*moments):
    """Lines of a run. A moment is (seconds, samples, tokens, engines), the first one before any engine."""
    lines, now = [], [0.0]
    progress = Progress(lines.append, lambda: now[0])
    progress.begin([work(moments[0][1], moments[0][2], 100)])
    for seconds, samples, tokens, engines in moments[1:]:
        now[0] = seconds
        progress.show([work(samples, tokens, 100)], engines)
    return lines


def test_rates_count_this_attempt_from_its_first_engine_on():
    lines = told((0, 20, 2000, 0), (30, 20, 2000, 1), (40, 40, 4000, 2))
    assert lines[-1] == "  samples: 40 of 100, 200 tokens/s, engines 2, 30 s left"


def test_lines_come_at_most_every_ten_seconds():
    lines = told((0, 0, 0, 0), (1, 1, 9, 1), (9, 2, 18, 1), (11, 3, 27, 1), (12, 4, 36, 1))
    assert sum("tokens/s" in line for line in lines) == 1


def test_samples_of_an_earlier_attempt_are_named():
    assert "20 are there from an earlier attempt" in told((0, 20, 2000, 0))[0]


def test_the_time_without_an_engine_ends_with_the_first():
    now = [0.0]
    progress = Progress(lambda line: None, lambda: now[0])
    now[0] = 50
    assert progress.seconds_without_engine(False) == 50
    assert progress.seconds_without_engine(True) == 0


def test_shares_name_the_limit_and_thinking_that_never_closed():
    line = shares(work(8, 80, 8, truncated=2, unclosed=1))
    assert line == "8 samples, 10.0 tokens each, 25.0% cut at 64 tokens, 12.5% with thinking that never closed"
    assert "0.0% with thinking" in shares(work(8, 80, 8, thinks=True))
    assert "thinking" not in shares(work(8, 80, 8))
