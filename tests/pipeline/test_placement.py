"""The table of where ranks and engines will lie, by verl's order of addresses."""

from dataclasses import replace

from judgerlvr.cluster.nodes import Node
from judgerlvr.config.load import load_config
from judgerlvr.pipeline.checkup.placement import engines_of, placement, ranks_of
from judgerlvr.planning.load import load_of

LOAD = replace(load_of("generate", load_config("configs/tiny.yaml", [])), nodes=2, gpus_per_node=8, tensor_parallel=2)


def nodes(**gpus):
    return [Node(name, name.replace("_", "."), {"CPU": 64.0, "GPU": count}) for name, count in gpus.items()]


def rows(found, load):
    return [finding.text.split(maxsplit=1) for finding in placement(found, load)]


def test_machines_are_numbered_by_address_as_text():
    found = rows(nodes(n10_9=8.0, n10_10=8.0), LOAD)
    assert [row[0] for row in found] == ["node", "n10.10", "n10.9"]
    assert found[1][1].split("  ")[0] == "0 to 7"
    assert found[2][1].endswith("4 to 7, 2 devices each")


def test_a_machine_without_enough_cards_takes_nothing():
    assert [row[0] for row in rows(nodes(a=8.0, b=0.0, c=8.0), LOAD)] == ["node", "a", "c"]


def test_too_few_machines_have_no_table():
    assert rows(nodes(a=8.0), LOAD) == []


def hedged(found, load):
    """Whether the table says that Ray may choose otherwise."""
    return rows(found, load)[-1][0] == "Ray"


def test_machines_of_the_very_size_leave_ray_no_choice():
    assert not hedged(nodes(a=8.0, b=8.0), LOAD)


def test_a_machine_that_could_hold_both_groups_leaves_ray_a_choice():
    assert hedged(nodes(a=16.0, b=16.0), LOAD)


def test_a_rollout_with_gpus_of_its_own_leaves_ray_a_choice():
    assert hedged(nodes(a=16.0, b=16.0), replace(LOAD, rollout_gpus_per_node=8))


def test_a_head_without_a_gpu_takes_no_rank_on_a_cpu_either():
    small = replace(LOAD, gpus_per_node=1, tensor_parallel=1)
    assert [row[0] for row in rows(nodes(a=0.0, b=1.0, c=1.0), small)] == ["node", "b", "c"]


def test_a_machine_with_too_few_cpus_takes_nothing():
    poor = Node("a", "a", {"CPU": 4.0, "GPU": 8.0})
    assert [row[0] for row in rows([poor, *nodes(b=8.0, c=8.0)], LOAD)] == ["node", "b", "c"]


def test_more_machines_than_the_stage_takes_are_told():
    assert hedged(nodes(a=8.0, b=8.0, c=8.0), LOAD)


def test_a_machine_needs_the_cards_of_trainer_and_rollout():
    separate = replace(LOAD, nodes=1, gpus_per_node=4, rollout_gpus_per_node=4)
    assert rows(nodes(a=7.0), separate) == []
    assert rows(nodes(a=8.0), separate)[-1][1].endswith("0 to 1, 2 devices each, beside the trainer's")


def test_an_engine_may_span_machines():
    wide = replace(LOAD, tensor_parallel=16)
    assert engines_of(1, wide) == "part of 0, which takes 16 devices"


def test_one_rank_has_one_number():
    assert (ranks_of(0, 1), ranks_of(3, 1), ranks_of(1, 4)) == ("0", "3", "4 to 7")
