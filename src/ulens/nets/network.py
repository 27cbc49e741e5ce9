"""What every network is, so that one trainer, one predictor and one model folder serve them all."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from ulens.nets.layers import check_counts
from ulens.nets.shapes import Geometry


class Network(nn.Module, ABC):
    """A network of unpadded convolutions: (B, C, Y, X) float → (B, K, Y − 2·margin, X − 2·margin).

    Notes
    -----
    To add one, write such a class in a file of its own and add it to `NETWORKS` and `NetName` in
    `nets/build.py`. Its constructor takes `in_channels`, `num_classes`, what `settings` names, and
    `dropout` where it has any; all but the dropout are its attributes, too.
    """

    settings: ClassVar[tuple[str, ...]]
    """The arguments that make one like it, besides channels and classes."""
    has_dropout: ClassVar[bool] = True
    words: ClassVar[str]
    """What it is, for a reader of its plan; may hold {num_scales} and {window}."""

    def __init__(self, in_channels: int, num_classes: int, width: int) -> None:
        super().__init__()
        check_counts(
            type(self).__name__, in_channels=in_channels, num_classes=num_classes, width=width
        )
        self.in_channels, self.num_classes, self.width = in_channels, num_classes, width

    @staticmethod
    @abstractmethod
    def geometry_of(architecture: Mapping[str, Any]) -> Geometry:
        """Return valid sizes, alignment and margin, without making any weights.

        Parameters
        ----------
        architecture : values of `settings`; those that no size depends on may be left out
        """

    @property
    def geometry(self) -> Geometry:
        """Valid sizes, alignment and margin."""
        return self.geometry_of({name: getattr(self, name) for name in self.settings})

    @property
    @abstractmethod
    def last(self) -> nn.Conv2d:
        """A layer whose bias is added to the logits of every pixel."""
