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
