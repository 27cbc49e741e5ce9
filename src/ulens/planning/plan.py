"""The plan: every choice of a training in one readable, changeable record."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from ulens.augment.geometry import GeometrySettings
from ulens.augment.intensity import IntensitySettings
from ulens.encodings.table import ENCODINGS, EncodingName
from ulens.errors import SettingError
from ulens.io.files import list_some
from ulens.nets.build import NetName, Network, build_network, network_geometry
from ulens.nets.shapes import Geometry
from ulens.resample import AS_IT_IS, Zoom, check_zoom

Recipe = Literal["default", "paper"]
Precision = Literal["bf16", "fp32"]
MemoryFormat = Literal["channels_last", "contiguous"]


class TensorFormat(NamedTuple):
    """How the numbers of a training are held: the same training, faster or slower.

    Parameters
    ----------
    precision : of the arithmetic
    memory_format : whether the channels of a pixel lie side by side, or the pixels of a channel
    """

    precision: Precision
    memory_format: MemoryFormat


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a model is trained; written to ``plan.json``.

    Parameters
    ----------
    recipe : 'default' or 'paper'
    encoding : what the network learns: 'classes'; 'membrane', two classes of which the first parts
        cells, whose gaps are closed afterwards; of instances 'boundary', the gaps between them,
        'contact', where they touch, or 'distance', the distances to their border and to the next
        one
    network : 'unet', or one of those it is compared with
    width, depth, dropout : of the network; only the U-Net has a depth
    negative_slope : of the U-Net's leaky ReLUs; 0 makes them ReLUs as in the paper
    batch_norm : whether the U-Net's 3×3 convolutions are normalised in training; the model has
        plain ones
    frozen_at : part of the training, 0 to 1, after which they are normalised by moments that stay
    window : side of the window of 'sliding-window', pixels
    zoom : (y, x) pixels of the network for each pixel of the image; lengths below are the network's
    crop : side of the network's input in training, pixels
    batch : tiles per step
    balanced : whether tiles are centred on pixels of each class in turn, rather than anywhere
    optimizer : 'adamw' or 'sgd'
    learning_rate, momentum, weight_decay : of the optimizer (momentum: SGD, and β1 of AdamW)
    schedule : 'cosine' falls to a hundredth of the rate over the training; 'constant' stays
    warmup_steps : steps over which the learning rate rises from 0
    clip_norm : largest norm of the gradient; 0 = no limit
    averaging : decay of the running average of the weights; 0 = the last weights are kept
    precision : 'bf16' (mixed) or 'fp32'
    memory_format : 'channels_last' or 'contiguous', how the numbers of a tile lie in memory
    weight_map : 'paper' or 'falk', that of Falk et al. 2019, for instances and two classes
    class_weights : w_c of each class, of 'contact' three; not used by 'distance' and 'falk'
    border_weight, border_sigma_px : w0 and σ of the weight map's gaps (Falk et al.: λ and σ2, 50
        and 6); w0 = 0 leaves them out, as 'distance' needs
    geometry, intensity : augmentation
    steps, seconds : length of the training; exactly one of them is set
    seed : all random draws depend on it and the step alone
    steps_per_second : measured on this machine when planning for a time; None = not measured
    fingerprint : what the annotated images are like, for the reader; nothing depends on it
    reasons : why a choice was made, in words, by field name
    """

    recipe: Recipe
    encoding: EncodingName
    network: NetName = "unet"
    width: int
    depth: int = 4
    window: int = 95
    dropout: float = 0.5
    negative_slope: float = 0.0
    batch_norm: bool = False
    frozen_at: float = 0.4
    zoom: Zoom = AS_IT_IS
    crop: int
    batch: int = 1
    balanced: bool = False
    optimizer: Literal["adamw", "sgd"]
    learning_rate: float
    momentum: float
    weight_decay: float
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = 50
    clip_norm: float
    averaging: float
    precision: Precision = "bf16"
    memory_format: MemoryFormat = "channels_last"
    weight_map: Literal["paper", "falk"] = "paper"
    class_weights: tuple[float, ...]
    border_weight: float
    border_sigma_px: float = 5.0
    geometry: GeometrySettings
    intensity: IntensitySettings
    steps: int | None = None
    seconds: float | None = None
    seed: int = 0
    steps_per_second: float | None = None
    fingerprint: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise SettingError(
                f"steps is {self.steps}, seconds is {self.seconds}; set one, leave the other null"
            )
        self._check_numbers()
        check_zoom(self.zoom)
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise SettingError(
                    f"plan: {name} is {getattr(self, name)!r}; it takes {' or '.join(allowed)}"
                )
        self.network_geometry.check(self.crop, self.crop, self.network)
        if self.batch_norm and self.network != "unet":
            raise SettingError(
                f"plan: batch_norm is true, but network is {self.network!r}, whose convolutions "
                "ulens does not normalise; set it to false"
            )
        way = ENCODINGS[self.encoding]
        if way.by_class and way.outputs and len(self.class_weights) != len(way.outputs):
            raise SettingError(
                f"plan: encoding is {self.encoding!r}, but class_weights are {self.class_weights}; "
                f"give {len(way.outputs)}, of {list_some(way.outputs)}, or set another encoding"
            )
        if self.weight_map == "falk" and not self.has_gaps:
            raise SettingError(
                "plan: weight_map is 'falk', which is for instances with encoding 'boundary' or "
                "'contact' and for two classes; set it to 'paper'"
            )
        if not way.by_class and self.balanced:
            raise SettingError(
                f"plan: balanced needs classes, but encoding is {self.encoding!r}; set balanced to "
                "false"
            )
        if not way.by_class and self.border_weight > 0:
            raise SettingError(
                f"plan: border_weight is {self.border_weight}, but encoding {self.encoding!r} has "
                "no weight map; set border_weight to 0, or encoding to 'boundary'"
            )

    @property
    def num_outputs(self) -> int:
        """Channels of the network's output."""
        return len(ENCODINGS[self.encoding].outputs) or len(self.class_weights)

    @property
    def has_gaps(self) -> bool:
        """Whether pixels between neighbours may weigh more: of instances, or of two classes."""
        way = ENCODINGS[self.encoding]
        if way.labels_are == "classes":
            return len(self.class_weights) == 2
        return way.by_class

    @property
    def network_geometry(self) -> Geometry:
        """Sizes that the network takes."""
        return network_geometry(self.architecture(1))

    def make_network(self, in_channels: int) -> Network:
        """Return a new network for images with so many channels."""
        return build_network(self.architecture(in_channels), dropout=self.dropout, seed=self.seed)

    def architecture(self, in_channels: int) -> dict[str, Any]:
        """Return what `build_network` takes, for images with so many channels."""
        return {
            "name": self.network,
            "in_channels": in_channels,
            "num_classes": self.num_outputs,
            "width": self.width,
            "depth": self.depth,
            "window": self.window,
            "negative_slope": self.negative_slope,
        }

    def _check_numbers(self) -> None:
        for name in (
            "width",
            "depth",
            "batch",
            "learning_rate",
            "border_sigma_px",
            "steps",
            "seconds",
        ):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise SettingError(f"plan: {name} is {value}; it needs to be greater than 0")
        for name in ("width", "depth", "crop", "batch", "warmup_steps", "seed"):
            value = getattr(self, name)
            if not isinstance(value, int):
                raise SettingError(f"plan: {name} is {value!r}; it needs to be a whole number")
        for name in ("weight_decay", "warmup_steps", "clip_norm", "border_weight", "seed"):
            if getattr(self, name) < 0:
                raise SettingError(
                    f"plan: {name} is {getattr(self, name)}; it needs to be 0 or more"
                )
        if min(self.class_weights, default=-1.0) < 0:
            raise SettingError(
                f"plan: class_weights are {self.class_weights}; give one per class, 0 or more each"
            )
        for name in ("dropout", "negative_slope", "frozen_at", "momentum", "averaging"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingError(
                    f"plan: {name} is {getattr(self, name)}; it needs to be at least 0 and below 1"
                )

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers, strings, lists and dicts."""
        return asdict(self)

    def to_bytes(self) -> bytes:
        """Return the content of plan.json."""
        return json.dumps(self.to_json(), indent=2).encode()

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Plan":
        """Build a plan from what `to_json` returned or a user changed."""
        known = {entry.name for entry in fields(cls)}
        if unknown := sorted(set(record) - known):
            raise SettingError(
                f"plan: unknown entries {', '.join(unknown)}; it takes {', '.join(sorted(known))}"
            )
        values = dict(record)
        try:
            values["geometry"] = GeometrySettings(**_tuples(record["geometry"]))
            values["intensity"] = IntensitySettings(**_tuples(record["intensity"]))
            values["class_weights"] = tuple(record["class_weights"])
            values["zoom"] = _pair(record.get("zoom", AS_IT_IS))
            return cls(**values)
        except (TypeError, KeyError, AttributeError, IndexError, ValueError) as error:
            raise SettingError(f"plan: {error}; start from the plan.json of a model") from error


def _pair(zoom: Any) -> Zoom:
    y, x = zoom
    return float(y), float(x)


def _tuples(record: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in record.items()}


_CHOICES = {
    "recipe": get_args(Recipe),
    "network": get_args(NetName),
    "encoding": get_args(EncodingName),
    "optimizer": ("adamw", "sgd"),
    "schedule": ("cosine", "constant"),
    "weight_map": ("paper", "falk"),
    "precision": get_args(Precision),
    "memory_format": get_args(MemoryFormat),
}


def read_plan(path: Path) -> Plan:
    """Read a plan.json."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(f"{path} is not a readable plan.json: {error}") from error
    if not isinstance(record, dict):
        raise SettingError(f"{path} is not a plan: it holds no JSON object")
    return Plan.from_json(record)
