"""The parts of a plan, each of which checks itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ulens.augment.geometry import GeometrySettings
from ulens.augment.intensity import IntensitySettings
from ulens.encodings.table import ENCODINGS, EncodingName
from ulens.errors import SettingError
from ulens.io.files import list_some
from ulens.nets.build import NetName
from ulens.nets.shapes import DEEPEST
from ulens.record import show
from ulens.resample import AS_IT_IS, Zoom, check_zoom

Precision = Literal["bf16", "fp32"]
MemoryFormat = Literal["channels_last", "contiguous"]
WIDEST = 4096
HEAVIEST = 1e6
"""Larger weights leave no digits of a sum for the others."""
LARGEST_PX = 1e4
"""Lengths beyond that are none of an image's objects."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkPlan:
    """The network.

    Parameters
    ----------
    name : 'unet', or one of those it is compared with
    width, depth, dropout : of the network; only the U-Net has a depth
    window : side of the window of 'sliding-window', pixels
    negative_slope : of the U-Net's leaky ReLUs; 0 makes them ReLUs as in the paper
    batch_norm : whether the U-Net's 3×3 convolutions are normalised in training; the model has
        plain ones
    frozen_at : part of the training, 0 to 1, after which they are normalised by moments that stay
    """

    name: NetName = "unet"
    width: int
    depth: int = 4
    window: int = 95
    dropout: float = 0.5
    negative_slope: float = 0.0
    batch_norm: bool = False
    frozen_at: float = 0.4

    def __post_init__(self) -> None:
        check_numbers(
            self, whole=("width", "depth", "window"), positive=("width", "depth", "window")
        )
        check_numbers(self, at_most={"width": WIDEST, "depth": DEEPEST, "window": 1023})
        check_numbers(self, shares=("dropout", "negative_slope", "frozen_at"))
        if self.batch_norm and self.name != "unet":
            raise SettingError(
                f"plan: batch_norm is true, but network is {self.name!r}, whose convolutions "
                "ulens does not normalise; set it to false"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodingPlan:
    """What the network learns, and how much each pixel counts.

    Parameters
    ----------
    name : 'classes'; 'membrane', two classes of which the first parts cells, whose gaps are closed
        afterwards; of instances 'boundary', the gaps between them, 'contact', where they touch, or
        'distance', the distances to their border and to the next one
    weight_map : 'paper' or 'falk', that of Falk et al. 2019, for instances and two classes
    class_weights : w_c of each class, of 'contact' three; not used by 'distance' and 'falk'
    border_weight, border_sigma_px : w0 and σ of the weight map's gaps (Falk et al.: λ and σ2, 50
        and 6); w0 = 0 leaves them out, as 'distance' needs
    """

    name: EncodingName
    weight_map: Literal["paper", "falk"] = "paper"
    class_weights: tuple[float, ...]
    border_weight: float
    border_sigma_px: float = 5.0

    def __post_init__(self) -> None:
        check_numbers(self, positive=("border_sigma_px",), not_negative=("border_weight",))
        check_numbers(self, at_most={"border_sigma_px": LARGEST_PX, "border_weight": HEAVIEST})
        if not all(0 <= each <= HEAVIEST for each in self.class_weights or (-1.0,)):
            raise SettingError(
                f"plan: class_weights are {show(self.class_weights)}; give one per class, 0 to "
                f"{HEAVIEST:g} each"
            )
        way = ENCODINGS[self.name]
        if way.by_class and way.outputs and len(self.class_weights) != len(way.outputs):
            raise SettingError(
                f"plan: encoding is {self.name!r}, but class_weights are {self.class_weights}; "
                f"give {len(way.outputs)}, of {list_some(way.outputs)}, or set another encoding"
            )
        if self.weight_map == "falk" and not self.has_gaps:
            raise SettingError(
                "plan: weight_map is 'falk', which is for instances with encoding 'boundary' or "
                "'contact' and for two classes; set it to 'paper'"
            )
        if not way.by_class and self.border_weight > 0:
            raise SettingError(
                f"plan: border_weight is {self.border_weight}, but encoding {self.name!r} has "
                "no weight map; set border_weight to 0, or encoding to 'boundary'"
            )

    @property
    def num_outputs(self) -> int:
        """Channels of the network's output."""
        return len(ENCODINGS[self.name].outputs) or len(self.class_weights)

    @property
    def has_gaps(self) -> bool:
        """Whether pixels between neighbours may weigh more: of instances, or of two classes."""
        way = ENCODINGS[self.name]
        if way.labels_are == "classes":
            return len(self.class_weights) == 2
        return way.by_class


@dataclass(frozen=True, kw_only=True, slots=True)
class TilePlan:
    """The tiles that the network is shown.

    Parameters
    ----------
    zoom : (y, x) pixels of the network for each pixel of the image; all lengths of a plan are the
        network's
    crop : side of the network's input in training, pixels
    batch : tiles per step
    balanced : whether tiles are centred on pixels of each class in turn, rather than anywhere
    """

    zoom: Zoom = AS_IT_IS
    crop: int
    batch: int = 1
    balanced: bool = False

    def __post_init__(self) -> None:
        check_numbers(self, whole=("crop", "batch"), positive=("crop", "batch"))
        check_numbers(self, at_most={"crop": 2**15, "batch": 2**15})
        check_zoom(self.zoom)


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentationPlan:
    """How tiles are varied.

    Parameters
    ----------
    geometry, intensity : their shapes and their grey values
    """

    geometry: GeometrySettings
    intensity: IntensitySettings


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerPlan:
    """How the weights are changed.

    Parameters
    ----------
    name : 'adamw' or 'sgd'
    learning_rate, weight_decay : of the optimizer
    momentum : of SGD, and β1 of AdamW
    schedule : 'cosine' falls to a hundredth of the rate over the training; 'constant' stays
    warmup_steps : steps over which the learning rate rises from 0
    clip_norm : largest norm of the gradient; 0 = no limit
    averaging : decay of the running average of the weights; 0 = the last weights are kept
    """

    name: Literal["adamw", "sgd"]
    learning_rate: float
    momentum: float
    weight_decay: float
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = 50
    clip_norm: float
    averaging: float

    def __post_init__(self) -> None:
        check_numbers(self, whole=("warmup_steps",), positive=("learning_rate",))
        check_numbers(self, not_negative=("weight_decay", "warmup_steps", "clip_norm"))
        check_numbers(self, shares=("momentum", "averaging"))
        check_numbers(self, at_most={"learning_rate": 1e3, "weight_decay": 1e3})


@dataclass(frozen=True, slots=True)
class TensorFormat:
    """How the numbers of a training are held: the same training, faster or slower.

    Parameters
    ----------
    precision : of the arithmetic: 'bf16' (mixed) or 'fp32'
    memory_format : 'channels_last' or 'contiguous': whether the channels of a pixel lie side by
        side, or the pixels of a channel
    """

    precision: Precision = "bf16"
    memory_format: MemoryFormat = "channels_last"


@dataclass(frozen=True, kw_only=True, slots=True)
class Length:
    """How long a training is; exactly one of the two is set.

    Parameters
    ----------
    steps : their number
    seconds : of training
    """

    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise SettingError(
                f"steps is {self.steps}, seconds is {self.seconds}; set one, leave the other null"
            )
        check_numbers(self, whole=("steps",), positive=("steps", "seconds"))
        check_numbers(self, at_most={"steps": 10**12, "seconds": 1e9})

    def times(self, share: float) -> "Length":
        """Return a part of the training's length, one step at least."""
        if self.seconds is not None:
            return Length(seconds=share * self.seconds)
        return Length(steps=max(1, round(share * (self.steps or 0))))


def check_numbers(
    part: object,
    *,
    whole: tuple[str, ...] = (),
    positive: tuple[str, ...] = (),
    not_negative: tuple[str, ...] = (),
    shares: tuple[str, ...] = (),
    at_most: Mapping[str, float] | None = None,
) -> None:
    """Raise SettingError where an entry of a plan is out of range; None is in every range.

    NaN is in none.
    """
    rules = (
        (whole, lambda value: isinstance(value, int), "a whole number"),
        (positive, lambda value: value > 0, "greater than 0"),
        (not_negative, lambda value: value >= 0, "0 or more"),
        (shares, lambda value: 0 <= value < 1, "at least 0 and below 1"),
    )
    for names, is_in_range, words in rules:
        for name in names:
            value = getattr(part, name)
            if value is not None and not is_in_range(value):
                raise SettingError(f"plan: {name} is {show(value)}; it needs to be {words}")
    for name, most in (at_most or {}).items():
        value = getattr(part, name)
        if value is not None and not value <= most:
            raise SettingError(f"plan: {name} is {show(value)}; it takes at most {most:,}")
