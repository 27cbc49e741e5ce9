"""The paper's loss: weighted cross-entropy."""

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
