"""Which groups a step trains on, and the seeds of its samples."""

from judgerlvr.engine.in_training.agent_loop import sample_seed
from judgerlvr.engine.in_training.sampler import choose

MIXED, UNIFORM = [0.0, 1.0], [1.0, 1.0]


def test_mixed_groups_come_first_in_prompt_order():
    groups = {"a": UNIFORM, "b": MIXED, "c": MIXED, "d": MIXED}
    assert choose(groups, 2, replace_uniform=True) == (["b", "c"], 0)


def test_uniform_groups_fill_a_batch_that_would_be_short():
    assert choose({"a": UNIFORM, "b": MIXED}, 2, replace_uniform=True) == (["b", "a"], 1)


def test_all_uniform_still_gives_a_full_batch():
    groups = {name: UNIFORM for name in "abcd"}
    assert choose(groups, 3, replace_uniform=True) == (["a", "b", "c"], 3)


def test_without_replacement_prompt_order_alone_decides():
    groups = {"a": UNIFORM, "b": MIXED}
    assert choose(groups, 1, replace_uniform=False) == (["a"], 0)


def test_samples_of_a_group_have_different_seeds():
    assert len({sample_seed(0, 1, "p", sample) for sample in range(1000)}) == 1000


def test_seed_depends_on_run_step_prompt_and_sample():
    base = (0, 1, "p", 2)
    changed = [(1, 1, "p", 2), (0, 2, "p", 2), (0, 1, "q", 2), (0, 1, "p", 3)]
    assert sample_seed(*base) not in {sample_seed(*other) for other in changed}


def test_seed_fits_what_vllm_takes():
    assert all(0 <= sample_seed(0, 0, str(n), 0) < 2**31 for n in range(1000))
