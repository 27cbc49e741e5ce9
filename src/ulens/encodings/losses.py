"""Losses: the paper's weighted cross-entropy, and smooth L1 for distances."""

from torch import Tensor
from torch.nn import functional

from ulens.labels.meaning import IGNORED

SMOOTH_L1_BETA = 0.1
"""With 1, distances of DIC-C2DH-HeLa were learned more slowly (800 and 1200 steps, width 16)."""


def counted_weight(target: Tensor, weight: Tensor) -> Tensor:
    """Return the weight of each pixel in the loss, 0 where it is ignored.

    Parameters
    ----------
    target : (B, Y, X) int64, or (B, K, Y, X) float where the weight alone tells
    weight : (B, Y, X) float32, 0 or more
    """
    return weight if target.is_floating_point() else weight * (target != IGNORED)


def weighted_cross_entropy(
    logits: Tensor, target: Tensor, weight: Tensor, total: Tensor | None = None
) -> Tensor:
    """Pixel-wise softmax and cross-entropy, weighted, relative to the sum of the weights.

    Parameters
    ----------
    logits : (B, K, Y, X) float
    target : (B, Y, X) int64 in 0…K−1, or `IGNORED`; or (B, K, Y, X) float32, the share of each
        class in a pixel
    weight : (B, Y, X) float32, 0 or more
    total : sum of the weights where these are a part of the batch; None is their own

    Returns
    -------
    scalar float32; 0 where every pixel is ignored

    Notes
    -----
    Source: paper, equation 1.
    """
    if target.is_floating_point():
        loss = functional.cross_entropy(logits.float(), target, reduction="none")
    else:
        loss = functional.cross_entropy(
            logits.float(), target, ignore_index=IGNORED, reduction="none"
        )
    weight = counted_weight(target, weight)
    return (weight * loss).sum() / (weight.sum() if total is None else total).clamp(min=1e-6)


def weighted_smooth_l1(
    output: Tensor, target: Tensor, weight: Tensor, total: Tensor | None = None
) -> Tensor:
    """Smooth L1 loss, mean over the channels, weighted, relative to the sum of the weights.

    Parameters
    ----------
    output, target : (B, K, Y, X) float
    weight : (B, Y, X) float32, 0 or more; 0 = ignored
    total : as of `weighted_cross_entropy`

    Returns
    -------
    scalar float32; 0 where every pixel is ignored

    Notes
    -----
    Quadratic up to a difference of `SMOOTH_L1_BETA`, then linear. Source: Scherr et al. 2020, who
    leave it at 1, where the loss of targets in [0, 1] is hardly ever linear.
    """
    loss = functional.smooth_l1_loss(
        output.float(), target, reduction="none", beta=SMOOTH_L1_BETA
    ).mean(dim=1)
    return (weight * loss).sum() / (weight.sum() if total is None else total).clamp(min=1e-6)
