"""Losses: the paper's weighted cross-entropy, and soft Dice."""

from torch import Tensor
from torch.nn import functional

IGNORED = -1
"""Target value of pixels that count nowhere."""


def weighted_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Pixel-wise softmax and cross-entropy, weighted, relative to the sum of the weights.

    Parameters
    ----------
    logits : (B, K, Y, X) float
    target : (B, Y, X) int64 in 0…K−1, or `IGNORED`
    weight : (B, Y, X) float32, 0 or more

    Returns
    -------
    scalar float32; 0 where every pixel is ignored

    Notes
    -----
    Source: paper, equation 1.
    """
    loss = functional.cross_entropy(logits.float(), target, ignore_index=IGNORED, reduction="none")
    weight = weight * (target != IGNORED)
    return (weight * loss).sum() / weight.sum().clamp(min=1e-6)


def soft_dice(logits: Tensor, target: Tensor) -> Tensor:
    """1 − mean Dice over the classes, of softmax probabilities against the target.

    Parameters
    ----------
    logits : (B, K, Y, X) float
    target : (B, Y, X) int64 in 0…K−1, or `IGNORED`

    Returns
    -------
    scalar float32 in [0, 1]; a class absent from target and prediction scores 1

    Notes
    -----
    Counts are summed over the batch. Source: Milletari et al. 2016 (V-Net), without squares.
    """
    valid = (target != IGNORED)[:, None]
    probability = logits.float().softmax(1) * valid
    truth = functional.one_hot(target.clamp(min=0), logits.shape[1]).movedim(-1, 1) * valid
    axes = (0, 2, 3)
    overlap = (probability * truth).sum(axes)
    total = (probability + truth).sum(axes)
    return 1 - ((2 * overlap + 1) / (total + 1)).mean()
