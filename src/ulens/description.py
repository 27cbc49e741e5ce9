"""What model.json holds, checked when it is read: types, ranges, and that its parts fit."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ulens.appearance import Familiar
from ulens.encodings.table import EncodingName, check_decoding
from ulens.errors import SettingError
from ulens.labels.meaning import LabelsAre
from ulens.nets.build import NETWORKS, NetName
from ulens.normalize import Normalization
from ulens.record import read_record, show
from ulens.resample import AS_IT_IS, Zoom, check_zoom

FORMAT = "ulens model"
FORMAT_VERSION = 4
READABLE_VERSIONS = (1, 2, 3, 4)
"""Of 2 on there are slopes and 8 bits, of 3 on the zoom, of 4 on the floor of the contrast."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """Which network it is; entries that it does not have are None."""

    name: NetName
    in_channels: int
    num_classes: int
    width: int
    depth: int | None = None
    window: int | None = None
    negative_slope: float = 0.0
    """0 in models of the time before there was one."""

    def __post_init__(self) -> None:
        missing = [each for each in NETWORKS[self.name].settings if getattr(self, each) is None]
        if missing:
            raise SettingError(f"architecture: {', '.join(missing)} missing; add it")
        if abs(self.negative_slope) > 1:
            raise SettingError(
                f"architecture.negative_slope is {self.negative_slope}; it takes -1 to 1"
            )

    def entries(self) -> dict[str, Any]:
        """Return what `build_network` takes."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def check_fits(self, num_numbers: int) -> None:
        """Raise SettingError where a network of so many learned numbers cannot be so large."""
        for name in ("in_channels", "num_classes", "width", "window"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= max(num_numbers, 1):
                raise SettingError(
                    f"architecture.{name} is {value}, but the weights are {num_numbers} numbers in "
                    f"all; it needs to be from 1 to {num_numbers}"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class Floors:
    """The normalisation, as `Normalization.to_json` writes it; one of the two is there."""

    contrast_floor: tuple[float, ...] | None = None
    std_floor: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if (self.contrast_floor is None) == (self.std_floor is None):
            raise SettingError("normalization has no floor, or two; it needs contrast_floor")

    def normalization(self) -> Normalization:
        """Return what it describes."""
        return Normalization.from_json(
            {name: value for name, value in asdict(self).items() if value is not None}
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """The entries of the provenance that something depends on; others may be there, too."""

    steps: int = 0
    training_seconds: float = 0.0
    progress: float = 1.0
    scored_at_step: int | None = None
    num_images: int = 0
    data_sha256: str = ""
    seen: tuple[str, ...] | None = None
    held_out: tuple[str, ...] = ()
    held_out_blocks: dict[str, tuple[int | None, ...]] = field(default_factory=dict)
    left_between: tuple[str, ...] = ()
    not_independent: str | None = None
    channels: tuple[str, ...] = ()
    scores_rest_on: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        for block in self.held_out_blocks.values():
            if not 2 <= len(block) <= 4 or None in block[:3] or block[0] not in (0, 1):
                raise SettingError(
                    f"provenance.held_out_blocks: {show(list(block))} is no axis, start, gap, stop"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class FingerprintUsed:
    """The entry of a plan's fingerprint that something depends on."""

    diameter_px: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanUsed:
    """The entry of a model's plan that something depends on before the plan is read as one."""

    fingerprint: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_used(FingerprintUsed, self.fingerprint, "fingerprint")


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """The content of model.json; the entries are those of `ulens.bundle.ModelBundle`.

    Parameters
    ----------
    sha256 : of each file beside it
    hardly_trained : why nothing is to be expected of the model yet, for the reader
    encoding : None in models of the time before there was a choice
    """

    format: str
    format_version: int
    architecture: Architecture
    normalization: Floors
    labels_are: LabelsAre
    encoding: EncodingName | None = None
    class_values: tuple[int, ...]
    decoding: dict[str, Any]
    int8: dict[str, tuple[float, float]] = field(default_factory=dict)
    spacing_um: tuple[float, float] | None
    zoom: Zoom = AS_IT_IS
    scores: dict[str, float]
    provenance: dict[str, Any]
    hardly_trained: str | None = None
    familiar: Familiar | None = None
    plan: dict[str, Any]
    sha256: dict[str, str]

    def __post_init__(self) -> None:
        check_zoom(self.zoom)
        check_decoding(self.learns, self.decoding)
        if self.spacing_um is not None and min(self.spacing_um) <= 0:
            raise SettingError(f"spacing_um is {show(self.spacing_um)}; need two sizes above 0")
        for name, (low, high) in self.int8.items():
            if low > high:
                raise SettingError(f"int8.{show(name)} is {low} to {high}; need low to high")
        check_provenance(self.provenance)
        _check_used(PlanUsed, self.plan, "plan")

    @property
    def learns(self) -> EncodingName:
        """The encoding, also of models of the time before there was a choice."""
        return self.encoding or ("classes" if self.labels_are == "classes" else "boundary")


def check_provenance(provenance: dict[str, Any]) -> None:
    """Raise SettingError where an entry of a provenance is wrong that something depends on."""
    _check_used(Provenance, provenance, "provenance")


def _check_used(kind: type[Any], entries: dict[str, Any], name: str) -> None:
    """Raise SettingError where the entries that a dataclass has are wrong; others are passed over.

    So a model can be read whose notes are of another version.
    """
    known = {each.name for each in fields(kind)}
    read_record(kind, {key: entries[key] for key in entries if key in known}, name)
