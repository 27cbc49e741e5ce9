import numpy as np
import pytest
import torch

from ulens.encodings.losses import SMOOTH_L1_BETA, weighted_cross_entropy, weighted_smooth_l1
from ulens.labels.meaning import IGNORED


def test_cross_entropy_by_hand():
    logits = torch.tensor([[[[0.0, 2.0, 5.0]], [[0.0, 0.0, 0.0]]]])
    target = torch.tensor([[[0, 1, IGNORED]]])
    weight = torch.tensor([[[1.0, 3.0, 9.0]]])
    each = [np.log(2), np.log(1 + np.exp(2))]
    expected = (each[0] + 3 * each[1]) / 4
    assert float(weighted_cross_entropy(logits, target, weight)) == pytest.approx(expected)


def test_ignored_pixels_give_no_gradient():
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    target = torch.randint(0, 2, (1, 4, 4))
    target[0, 0] = IGNORED
    weighted_cross_entropy(logits, target, torch.ones(1, 4, 4)).backward()
    assert logits.grad is not None
    assert (logits.grad[0, :, 0] == 0).all()
    assert (logits.grad[0, :, 1:] != 0).all()


def test_a_tile_without_annotation_has_no_loss():
    target = torch.full((1, 3, 3), IGNORED)
    assert weighted_cross_entropy(torch.randn(1, 2, 3, 3), target, torch.ones(1, 3, 3)) == 0


def test_smooth_l1_by_hand():
    output = torch.tensor([[[[0.12, 3.0, 9.0]], [[0.25, 1.0, 9.0]]]])
    target = torch.tensor([[[[0.10, 1.0, 0.0]], [[0.20, 1.0, 0.0]]]])
    weight = torch.tensor([[[1.0, 3.0, 0.0]]])
    beta = SMOOTH_L1_BETA
    each = [(0.02**2 / (2 * beta) + 0.05**2 / (2 * beta)) / 2, (2 - beta / 2) / 2]
    expected = (each[0] + 3 * each[1]) / 4
    assert float(weighted_smooth_l1(output, target, weight)) == pytest.approx(expected)


def test_distances_without_weight_give_no_gradient_and_no_loss():
    output = torch.randn(1, 2, 4, 4, requires_grad=True)
    weight = torch.ones(1, 4, 4)
    weight[0, 0] = 0
    weighted_smooth_l1(output, torch.zeros(1, 2, 4, 4), weight).backward()
    assert output.grad is not None
    assert (output.grad[0, :, 0] == 0).all()
    assert (output.grad[0, :, 1:] != 0).all()
    assert weighted_smooth_l1(output, torch.zeros(1, 2, 4, 4), 0 * weight) == 0


@pytest.mark.parametrize("loss", [weighted_cross_entropy, weighted_smooth_l1])
def test_the_parts_of_a_batch_add_up_to_it(loss):
    generator = torch.Generator().manual_seed(0)
    output, target = torch.randn(2, 4, 3, 5, 6, generator=generator)
    target, weight = target.softmax(1), torch.rand(4, 5, 6, generator=generator)
    parts = [
        loss(output[part], target[part], weight[part], weight.sum())
        for part in (slice(0, 1), slice(1, 4))
    ]
    torch.testing.assert_close(sum(parts), loss(output, target, weight))
    torch.testing.assert_close(loss(output, target, weight / 1000), loss(output, target, weight))
    assert loss(output.bfloat16(), target, weight).dtype == torch.float32


def test_shares_of_one_class_alone_cost_what_the_class_costs():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    target = torch.randint(-1, 3, (2, 4, 5), generator=generator)
    weight = torch.rand(2, 4, 5, generator=generator)
    shares = torch.stack([(target == each).float() for each in range(3)], dim=1)
    by_class = weighted_cross_entropy(logits, target, weight)
    by_share = weighted_cross_entropy(logits, shares, weight * (target != IGNORED))
    torch.testing.assert_close(by_share, by_class)
