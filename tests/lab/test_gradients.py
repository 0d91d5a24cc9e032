"""The lab's own gradients against autograd's."""

import pytest
import torch
import torch.nn.functional as F

from benchmarks.lab.gradients import EmbedRuns, ScaleRuns


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_(True)


def test_scaled_rows_have_the_gradients_of_autograd():
    assert torch.autograd.gradcheck(
        lambda rows, weight: ScaleRuns.apply(rows, weight), (draw(2, 5, 3), draw(2, 3)), atol=1e-4
    )


@pytest.mark.parametrize("words", [1, 3, 64])
def test_an_embeddings_gradient_is_that_of_a_scatter(words):
    ids = torch.randint(words, (2, 50), generator=torch.Generator().manual_seed(1))
    mine, theirs = draw(2, words, 4), draw(2, words, 4)
    weight = draw(2, 50, 4, seed=2).detach()
    found = EmbedRuns.apply(mine, ids)
    naive = torch.stack([F.embedding(run, table) for run, table in zip(ids, theirs, strict=True)])
    assert torch.equal(found, naive)
    (found * weight).sum().backward()
    (naive * weight).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad)
