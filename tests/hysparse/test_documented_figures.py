"""Tables of the docs that were measured again on a CPU are those of their record."""

import pytest

from judgerlvr.config.load import ROOT

RECORD = ROOT / "benchmarks" / "results" / "hysparse-figures-cpu-2026-11-30.md"
GATES = ["0.5, 0.5 | -10", "0.1, 0.9 | -10", "0.1, 0.9 | 0", "0, 1 | -10", "0.9, 0.1 | -10"]
BASES = {"converted": 1, "converted with experts": 2, "`base/hysparse`": 3, "`base/hysparse_moe`": 4}


def row(page, beginning):
    """Cells of the page's row that begins so, bold marks left out."""
    lines = (line.replace("*", "") for line in page.read_text().splitlines())
    line = next(line for line in lines if line.startswith(f"| {beginning} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def recorded(what, column):
    return row(RECORD, what)[column]


@pytest.mark.parametrize("start", GATES)
def test_losses_by_gates_and_sinks(start):
    told, found = row(ROOT / "docs" / "hysparse.md", start), row(RECORD, start)
    assert [float(loss) for loss in told[2:]] == [pytest.approx(float(loss), abs=0.00051) for loss in found[2:]]


@pytest.mark.parametrize(("base", "column"), BASES.items())
def test_agreement_on_a_cpu(base, column):
    told = row(ROOT / "docs" / "hysparse-rl.md", base)[1:]
    shares = ["equal choices", "response rows with a differing choice", "equal experts of response rows"]
    found = [f"{float(value):.3f}" if (value := recorded(what, column)) else "" for what in shares]
    gap, kl, own, other, gap_replayed, kl_replayed = (
        float(recorded(what, column))
        for what in ("gap", "KL", "gap, agreeing rows", "gap, differing rows", "gap with replay", "KL with replay")
    )
    found.append(f"{gap:.4f}, {kl:.1e}".replace("e-0", "e-"))
    found += [f"{own:.4f} / {other:.4f}", f"{gap_replayed:.4f}, {kl_replayed:.1e}".replace("e-0", "e-")]
    assert told == found
