"""A distillation over two processes that was cut goes on: the same bytes, one line for a refusal, nothing lost."""

import json
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from data.jsonl import write_jsonl
from judgerlvr.hysparse.distillation.checkpoints import SEAL, fault_of
from judgerlvr.tinyworld.tokenizer import train_tokenizer
from tests.helpers import distilling_ranks as ranks
from tests.helpers.distilling_ranks import distil
from tests.hysparse.test_resume import SIZES, SMALL, contents, settings_in

pytestmark = pytest.mark.slow
WAYS = {"copies": False, "sharded": True}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A source and texts. The 19 learnt rows end an epoch within a run of 6 steps."""
    root = tmp_path_factory.mktemp("two")
    torch.manual_seed(0)
    Qwen3ForCausalLM(Qwen3Config(**SIZES)).to(torch.bfloat16).save_pretrained(root / "source")
    train_tokenizer().save_pretrained(root / "source")
    write_jsonl(root / "texts.jsonl", [{"prompt": "1 + 1 = ", "text": f"{n} * {n} = {n * n}"} for n in range(21)])
    return root


def command(root, out, *more):
    texts = ["--texts", str(root / "texts.jsonl"), "--heldout", "2", "--length", "32", "--device", "cpu"]
    steps = ["--steps", "6", "--every", "2", "--save-every", "2", "--rows", "4"]
    return [str(root / "source"), str(out), *texts, *steps, *SMALL, *more]


@pytest.fixture(scope="module", params=WAYS)
def sharded(request):
    """Whether the ranks share weights and states by FSDP2, as GPUs do, or hold copies, as the command does on a CPU."""
    return WAYS[request.param]


def uncut(root, sharded):
    """An uninterrupted run of two ranks, made once."""
    out = root / f"whole-{sharded}"
    if not out.exists():
        ended = distil(root / f"log-{sharded}", command(root, out), sharded=sharded)
        assert ended.codes == [0, 0], ended.err
    return out


@pytest.fixture(scope="module")
def whole(root, sharded):
    return uncut(root, sharded)


@pytest.fixture(scope="module")
def cut(root, sharded):
    """A run that was cut behind the checkpoints of steps 2 and 4. Each test takes a copy."""
    out = root / f"cut-{sharded}"
    fault = ranks.power_cut_behind_a_checkpoint
    ended = distil(root / f"log-{sharded}", command(root, out), fault=fault, sharded=sharded)
    assert ended.codes == [-signal.SIGKILL] * 2, ended.err
    return out


def goes_on_to(whole, root, out, tmp_path, sharded):
    """What the resumed ranks printed. The result is that of the uninterrupted run, byte for byte."""
    ended = distil(tmp_path / "log", command(root, out, "--resume"), sharded=sharded)
    assert ended.codes == [0, 0], ended.err
    assert contents(out) == contents(whole)
    return ended


def test_two_ranks_make_the_gradients_of_one(root, tmp_path, sharded):
    """Before clipping and Adam, which hide a factor. The rows of the first four steps lie within an epoch."""
    norms = []
    for world in (1, 2):
        given = command(root, tmp_path / str(world))
        fault, shards = ranks.tells_gradient_norms, sharded and world > 1
        ended = distil(tmp_path / f"log-{world}", given, world, fault=fault, sharded=shards)
        told = [line.split() for line in ended.out[0].splitlines() if line.startswith("gradient norm")]
        norms.append([float(words[-1]) for words in told])
    assert len(norms[0]) == 6
    assert norms[1][:4] == pytest.approx(norms[0][:4], rel=1e-3)


def test_the_seal_holds_for_the_files_of_both_ranks(cut, root):
    folders = sorted((cut / "checkpoints").iterdir())
    assert [folder.name for folder in folders] == ["checkpoint-2", "checkpoint-4"]
    for folder in folders:
        sealed = json.loads((folder / SEAL).read_text())["files"]
        assert {"rng_state_0.pth", "rng_state_1.pth"} <= sealed.keys()
        assert sealed.keys() | {SEAL} == {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
        assert fault_of(folder, settings_in(cut)) is None


def test_a_run_cut_behind_a_checkpoint_goes_on_to_the_same_bytes(whole, cut, root, tmp_path, sharded):
    """Each step is in the curve once. The curve is among the bytes."""
    out = shutil.copytree(cut, tmp_path / "out")
    shown = goes_on_to(whole, root, out, tmp_path, sharded).out
    assert "passed over" not in "".join(shown) and shown[1] == ""
    assert [json.loads(line)["step"] for line in (out / "distill.jsonl").read_text().splitlines()] == [0, 2, 4, 6]
    assert not (out / "checkpoints").exists()


@pytest.mark.parametrize("fault", [ranks.power_cut_within_a_checkpoint, ranks.power_cut_before_the_seal])
def test_a_run_cut_within_a_checkpoint_goes_on_from_the_one_before(fault, whole, root, tmp_path, sharded):
    out = tmp_path / "out"
    ended = distil(tmp_path / "log", command(root, out), fault=fault, sharded=sharded)
    assert ended.codes == [-signal.SIGKILL] * 2, ended.err
    assert (out / "checkpoints" / "checkpoint-4").is_dir()
    shown = goes_on_to(whole, root, out, tmp_path, sharded).out
    assert shown[0].count("checkpoint-4 is passed over, because the checkpoint was not finished") == 1
    assert shown[0].count("going on from checkpoint-2") == 1


def test_a_damaged_file_of_rank_1_takes_all_ranks_to_the_checkpoint_before(whole, cut, root, tmp_path, sharded):
    """Lost or cut short. Ranks at two steps would hang or end elsewhere. One rank tells the reason."""
    out = shutil.copytree(cut, tmp_path / "out")
    path = out / "checkpoints" / "checkpoint-4" / "rng_state_1.pth"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]) if sharded else path.unlink()
    shown = goes_on_to(whole, root, out, tmp_path, sharded).out
    assert shown[0].count("checkpoint-4 is passed over, because rng_state_1.pth") == 1
    assert shown[1] == ""


@pytest.mark.parametrize("world", [1, 4])
def test_another_number_of_processes_is_one_line_and_changes_nothing(world, cut, root, tmp_path):
    before = contents(cut)
    ended = distil(tmp_path / "log", command(root, cut, "--resume"), world=world)
    assert ended.codes[0] == 2 and all(ended.codes)
    assert ended.errors == [f"error: {cut}: processes is {world}, and was 2 at the first start; {REMEDY}"]
    assert contents(cut) == before


REMEDY = "give the options of the first start"
REFUSED = {
    "no such option": ["--bogus"],
    "a warmup": ["--warmup", "9"],
    "rows": ["--rows", "3"],
    "texts": ["--texts", "nowhere.jsonl"],
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_every_rank_finds_wrong_is_one_line(fault, root, tmp_path):
    ended = distil(tmp_path / "log", command(root, tmp_path / "out", *REFUSED[fault]))
    assert ended.codes[0] == 2 and all(ended.codes)
    assert len(ended.errors) == 1, ended.errors
    assert not (tmp_path / "out").exists()


def test_a_rank_killed_before_the_first_step_leaves_what_goes_on(whole, root, tmp_path, sharded):
    out, fault = tmp_path / "out", ranks.rank_1_is_killed_before_the_first_step
    ended = distil(tmp_path / "log", command(root, out), fault=fault, sharded=sharded)
    assert all(ended.codes) and ended.codes[1] == -signal.SIGKILL
    goes_on_to(whole, root, out, tmp_path, sharded)


def torchrun(root, out, *more):
    """(launcher, its ranks once the folder is there)."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.Popen([*start, "--module", "judgerlvr.hysparse.distill", *command(root, out, *more)])


def within(seconds, found):
    until = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return value


def rank_of(process):
    return process.environ().get("RANK")


def test_torchrun_ends_with_rank_1_and_goes_on_after_a_kill_of_all(root, tmp_path):
    """Rank 1 alone is killed first, then launcher and ranks in one go, behind the first seal."""
    out = tmp_path / "out"
    launcher = torchrun(root, out)
    within(120, lambda: (out / "distill.json").exists())
    next(child for child in psutil.Process(launcher.pid).children() if rank_of(child) == "1").kill()
    assert launcher.wait(60) != 0
    launcher = torchrun(root, out, "--resume")
    within(120, lambda: list(out.glob(f"checkpoints/*/{SEAL}")))
    ranks_of_it = psutil.Process(launcher.pid).children(recursive=True)
    launcher.kill()
    for process in ranks_of_it:
        process.kill()
    launcher.wait()
    assert not (out / "config.json").exists()
    assert torchrun(root, out, "--resume").wait(120) == 0
    assert contents(out) == contents(uncut(root, sharded=False))
