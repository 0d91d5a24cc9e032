"""Each option of a search and of a distillation reaches its plan: passes, steps, held-out rows and checkpoints."""

import pytest

from judgerlvr.hysparse.conversion.conversion_plan import Distilling, Pass
from judgerlvr.hysparse.convert import main as run_convert
from judgerlvr.hysparse.distill import main as run_distill
from tests.helpers.tiny_sources import SHAPE, write_source, write_texts

BASE = [*SHAPE, "--heldout", "3", "--length", "64"]


@pytest.fixture
def source(tmp_path):
    return write_source(tmp_path / "source")


@pytest.fixture
def texts(tmp_path):
    return write_texts(tmp_path / "texts.jsonl")


def asked(main, module, name, given, patch):
    """What a plan's line is made of, the configuration left out."""
    seen = []
    patch.setattr(f"judgerlvr.hysparse.{module}.{name}", lambda config, *rest: seen.append(rest) or "a line")
    assert main([*given, "--plan"]) == 0
    return seen[0]


# Nine texts fill a row of 64 tokens each, three of them held out.
LEARNT = 63
DISTILLATIONS = {
    "--steps 10 --every 4 --save-every 3": (Pass(6, 64, 6 * LEARNT), Distilling(10, 1, 4, 1, 3, False)),
    "--steps 8 --every 4 --save-every 9": (Pass(6, 64, 6 * LEARNT), Distilling(8, 1, 3, 1, 0, False)),
    "--steps 8 --every 4 --rows 4 --rows-at-once 2": (Pass(2, 64, 2 * LEARNT), Distilling(8, 2, 3, 2, 0, False)),
    "--steps 8 --every 4 --rows 1": (Pass(1, 64, LEARNT), Distilling(8, 1, 3, 3, 0, False)),
    "--steps 8 --every 4 --rows 1 --heldout 5": (Pass(1, 64, LEARNT), Distilling(8, 1, 3, 5, 0, False)),
    "--steps 8 --every 4 --recompute": (Pass(6, 64, 6 * LEARNT), Distilling(8, 1, 3, 1, 0, True)),
}


@pytest.mark.parametrize("options", DISTILLATIONS)
def test_the_plan_of_a_distillation_follows_its_options(options, source, texts, tmp_path, monkeypatch):
    given = [str(source), str(tmp_path / "out"), *BASE, "--texts", str(texts), "--card", "a100"]
    found = asked(run_distill, "distillation.distillation", "distilling_line", given + options.split(), monkeypatch)
    assert found == (*DISTILLATIONS[options], "a100")


SEARCHES = {
    "": (Pass(1, 64, LEARNT), 6, 3),
    "--rows 4": (Pass(4, 64, 4 * LEARNT), 2, 1),
    "--rows 2 --heldout 5": (Pass(2, 64, 2 * LEARNT), 2, 3),
    "--length 48": (Pass(1, 48, 47), 6, 3),
}


@pytest.mark.parametrize("options", SEARCHES)
def test_the_plan_of_a_search_follows_its_options(options, source, texts, tmp_path, monkeypatch):
    given = [str(source), str(tmp_path / "out"), *BASE, "--search", str(texts), "--card", "a100"]
    found = asked(run_convert, "conversion.converting", "search_line", given + options.split(), monkeypatch)
    assert found == (*SEARCHES[options], "a100")
