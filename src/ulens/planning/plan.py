"""The plan: every choice of a training in one readable, changeable record."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_type_hints

from ulens.encodings.table import ENCODINGS
from ulens.errors import SettingError
from ulens.nets.build import build_network, network_geometry
from ulens.nets.network import Network
from ulens.nets.shapes import Geometry
from ulens.planning.parts import (
    AugmentationPlan,
    EncodingPlan,
    Length,
    NetworkPlan,
    OptimizerPlan,
    TensorFormat,
    TilePlan,
    check_numbers,
)
from ulens.record import read_json, read_record, show

Recipe = Literal["default", "paper"]
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a model is trained; written to ``plan.json``.

    Parameters
    ----------
    recipe : 'default' or 'paper'
    network : which one, and how large
    encoding : what it learns
    tiles, augmentation : what it is shown
    optimizer : how it learns
    tensors : how its numbers are held
    length : how long it learns
    seed : all random draws depend on it and the step alone
    steps_per_second : measured on this machine when planning for a time; None = not measured
    fingerprint : what the annotated images are like, for the reader; nothing depends on it
    reasons : why a choice was made, in words, by the name of its entry
    """

    recipe: Recipe
    network: NetworkPlan
    encoding: EncodingPlan
    tiles: TilePlan
    augmentation: AugmentationPlan
    optimizer: OptimizerPlan
    tensors: TensorFormat = field(default_factory=TensorFormat)
    length: Length
    seed: int = 0
    steps_per_second: float | None = None
    fingerprint: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_numbers(self, whole=("seed",), not_negative=("seed",), positive=("steps_per_second",))
        if self.seed > LARGEST_SEED:
            raise SettingError(f"plan: seed is {show(self.seed)}; it needs to be below 2⁶³")
        self.network_geometry.check(self.tiles.crop, self.tiles.crop, self.network.name)
        if self.tiles.balanced and not ENCODINGS[self.encoding.name].by_class:
            raise SettingError(
                f"plan: balanced needs classes, but encoding is {self.encoding.name!r}; set "
                "balanced to false"
            )

    @property
    def network_geometry(self) -> Geometry:
        """Sizes that the network takes."""
        return network_geometry(self.architecture(1))

    def make_network(self, in_channels: int) -> Network:
        """Return a new network for images with this many channels."""
        architecture = self.architecture(in_channels)
        return build_network(architecture, dropout=self.network.dropout, seed=self.seed)

    def architecture(self, in_channels: int) -> dict[str, Any]:
        """Return what `build_network` takes, for images with this many channels."""
        names = ("name", "width", "depth", "window", "negative_slope")
        return {
            **{name: getattr(self.network, name) for name in names},
            "in_channels": in_channels,
            "num_classes": self.encoding.num_outputs,
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers, strings, lists and dicts."""
        return cast(dict[str, Any], json.loads(json.dumps(asdict(self))))

    def to_bytes(self) -> bytes:
        """Return the content of plan.json."""
        return json.dumps(asdict(self), indent=2).encode()

    @classmethod
    def from_json(cls, record: object) -> "Plan":
        """Build a plan from what `to_json` returned or a user changed.

        Raises
        ------
        SettingError : an entry is unknown, missing, of the wrong type or out of range
        """
        if isinstance(record, Mapping) and isinstance(record.get("encoding"), str):
            record = nest(record)
        return read_record(cls, record, "plan")


def nest(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a plan whose entries are not yet divided into parts.

    So were the plans of models made before December 2026.

    Examples
    --------
    >>> nest({"network": "unet", "width": 16, "seed": 3})
    {'network': {'name': 'unet', 'width': 16}, 'seed': 3}
    """
    parts: dict[str, Any] = {}
    for name, value in entries.items():
        part = _PART_OF.get(name)
        if part is None:
            parts[name] = value
        else:
            parts.setdefault(part, {})["name" if name == part else name] = value
    return parts


_PART_OF = {
    part if entry.name == "name" else entry.name: part
    for part, kind in get_type_hints(Plan).items()
    if is_dataclass(kind)
    for entry in fields(kind)
}


def read_plan(path: Path) -> Plan:
    """Read a plan.json."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingError(f"{path} is not a readable plan.json: {error}") from error
    record = read_json(data, str(path))
    if not isinstance(record, dict):
        raise SettingError(f"{path} is not a plan: it holds no JSON object")
    return Plan.from_json(record)
