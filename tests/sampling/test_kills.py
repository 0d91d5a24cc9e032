"""Two kills on a real local cluster: each sample once after the resume, and those of an undisturbed engine."""

import pytest

from benchmarks.data.candidate_kills import main

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def test_samples_survive_two_kills(tmp_path_factory):
    folder = tmp_path_factory.mktemp("k")  # short, since Ray's sockets lie below
    assert main([str(folder), "--kills", "2", "--problems", "60", "--seed", "1"]) == 0
