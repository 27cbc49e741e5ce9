"""A trained model as a folder: JSON and safetensors, nothing pickled.

The folder may hold other files (plan, log, training state); they are never touched.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ulens.appearance import Familiar
from ulens.description import FORMAT, FORMAT_VERSION, READABLE_VERSIONS, Description
from ulens.encodings.table import ENCODINGS, EncodingName
from ulens.errors import ModelError, OutputError, SettingError, UlensError
from ulens.io.atomic import new_name, replace_files
from ulens.labels.meaning import LabelsAre
from ulens.nets.build import build_network, describe_architecture
from ulens.nets.network import Network
from ulens.nets.quantized import Ranges
from ulens.normalize import Normalization
from ulens.record import read_json, read_record, show
from ulens.resample import AS_IT_IS, Zoom
from ulens.selftest import check_selftest, make_selftest

MODEL, WEIGHTS, SELFTEST = "model.json", "weights.safetensors", "selftest.safetensors"
HARDLY_SECONDS, HARDLY_PROGRESS = 60.0, 0.9
START = Path(__file__).parent / "start"
"""The model that comes with ulens: cells and nuclei of many looks; its README.md tells of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelBundle:
    """A network with everything needed to use it and to judge it.

    Parameters
    ----------
    net : the trained network
    normalization : what its input goes through first
    encoding : what of the training labels the network learned
    class_values : label value of each class, in the order of the network's output
    decoding : parameters of the encoding's `decode`
    spacing_um : (y, x) pixel size of the training images in µm, or None where unknown
    zoom : (y, x) pixels that the network sees for each pixel of a training image
    plan : what was planned before training
    scores : measures on data that the network was not trained on
    provenance : hash of the data, versions, dates, durations
    example : (C, Y, X) float32, normalised: a window of an image like those that the model is for,
        in a size that the network takes; on it the ways to compute the network are compared
    example_label : (Y, X) int32, the truth of the example's output, −1 = ignored
    int8 : ranges of the inputs of the convolutions that 8-bit integers compute well enough
    familiar : what the training images looked like; None in models made before that was kept
    """

    net: Network
    normalization: Normalization
    encoding: EncodingName
    class_values: tuple[int, ...]
    decoding: dict[str, Any] = field(default_factory=dict)
    spacing_um: tuple[float, float] | None = None
    zoom: Zoom = AS_IT_IS
    plan: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    example: np.ndarray | None = None
    example_label: np.ndarray | None = None
    int8: Ranges = field(default_factory=dict)
    familiar: Familiar | None = None

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise SettingError(f"encoding is {self.encoding!r}; it takes {' or '.join(ENCODINGS)}")
        if len(self.normalization.floor) != self.net.in_channels:
            raise SettingError(
                f"normalization is for {len(self.normalization.floor)} channels, the network takes "
                f"{self.net.in_channels}; give one floor per channel"
            )
        if self.labels_are == "classes" and len(self.class_values) != self.net.num_classes:
            raise SettingError(
                f"class_values names {len(self.class_values)} classes {self.class_values}, the "
                f"network has {self.net.num_classes}; give one value per class"
            )

    @property
    def labels_are(self) -> LabelsAre:
        """What the training labels meant."""
        return ENCODINGS[self.encoding].labels_are

    @property
    def hardly_trained(self) -> str | None:
        """Why nothing is to be expected of the model yet; None of one that was trained."""
        steps, seconds = (self.provenance.get(each, 0) for each in ("steps", "training_seconds"))
        if self.provenance.get("scored_at_step", 0) is None:
            return f"it has no score yet: its training was cut off, or goes on, at step {steps}"
        if seconds < HARDLY_SECONDS and self.provenance.get("progress", 1.0) < HARDLY_PROGRESS:
            return f"its training was stopped after {seconds:.0f} seconds, at step {steps}"
        return None

    def name_classes(self, labels: np.ndarray) -> np.ndarray:
        """Return decoded classes by the values of the training labels; instances as they are."""
        if self.labels_are == "instances":
            return labels
        values = np.array(self.class_values)
        return values.astype(np.min_scalar_type(values.max()))[labels]


def find_model(folder: Path) -> Path:
    """Return the folder of a model; of "start", where there is no such folder, ulens' own."""
    return START if folder == Path("start") and not folder.exists() else folder


def save_bundle(bundle: ModelBundle, folder: Path) -> None:
    """Write a model folder; a model that stood there survives until the new one is complete.

    Parameters
    ----------
    folder : made if missing

    Raises
    ------
    OutputError : the folder cannot be written, e.g. the disk is full

    Notes
    -----
    All files are first written under the name ``*.new`` and flushed. The renaming of
    model.json, which holds the other files' hashes, is the moment at which the new model
    replaces the old one. A kill before it leaves the old model, a kill after it leaves
    hashes that lead `load_bundle` to the ``.new`` files.
    """
    tensors = {WEIGHTS: bundle.net.state_dict(), SELFTEST: _selftest(bundle)}
    contents = {name: _to_safetensors(values) for name, values in tensors.items()}
    hashes = {name: _sha256(data) for name, data in contents.items()}
    # model.json first: once it is renamed, its hashes say which of the other files count
    files = {MODEL: json.dumps(_describe(bundle, hashes), indent=2).encode(), **contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _finish_renaming(folder)
        replace_files(folder, files)
    except OSError as error:
        raise OutputError(
            f"cannot save the model in {folder}: {error.strerror or error}; a model saved there "
            "before is unharmed; free some space or choose another folder"
        ) from error


def load_bundle(folder: Path) -> ModelBundle:
    """Read a model folder, checking its hashes and that it computes what it once computed.

    Parameters
    ----------
    folder : as in `find_model`

    Raises
    ------
    ModelError : the folder is missing, is no ulens model, is damaged, or is too new
    """
    folder = find_model(folder)
    try:
        description = _read_description(folder)
        net = _read_net(folder, description)
        selftest = _read_tensors(folder, SELFTEST, description)
        check_selftest(folder, selftest, net)
        arrays = {name: tensor.numpy() for name, tensor in selftest.items()}
        _check_ranges(net, description.int8)
        return ModelBundle(
            net=net,
            normalization=description.normalization.normalization(),
            encoding=description.learns,
            class_values=description.class_values,
            decoding=description.decoding,
            spacing_um=description.spacing_um,
            zoom=description.zoom,
            plan=description.plan,
            scores=description.scores,
            provenance=description.provenance,
            example=arrays.get("example"),
            example_label=arrays.get("example_label"),
            int8=description.int8,
            familiar=description.familiar,
        )
    except (SettingError, SafetensorError) as error:
        raise ModelError(
            f"{folder / MODEL} is damaged ({error}); copy the model again or train it again"
        ) from error


def _describe(bundle: ModelBundle, hashes: dict[str, str]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "architecture": describe_architecture(bundle.net),
        "normalization": bundle.normalization.to_json(),
        "labels_are": bundle.labels_are,
        "encoding": bundle.encoding,
        "class_values": bundle.class_values,
        "decoding": bundle.decoding,
        "int8": bundle.int8,
        "spacing_um": bundle.spacing_um,
        "zoom": bundle.zoom,
        "scores": bundle.scores,
        "provenance": bundle.provenance,
        "hardly_trained": bundle.hardly_trained,
        "familiar": bundle.familiar and asdict(bundle.familiar),
        "plan": bundle.plan,
        "sha256": hashes,
    }


def _read_description(folder: Path) -> Description:
    if not folder.is_dir():
        kind = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ModelError(f"model {folder} {kind}; give the folder that training wrote")
    path = folder / MODEL
    if not path.is_file():
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        raise ModelError(
            f"{folder} is not a ulens model: it has no {MODEL}; it holds {found}; "
            "give the folder that training wrote"
        )
    entries = read_json(path.read_bytes(), MODEL)
    if not isinstance(entries, dict) or entries.get("format") != FORMAT:
        raise ModelError(f"{path} was not written by ulens; give the folder that training wrote")
    version = entries.get("format_version")
    if version not in READABLE_VERSIONS:
        raise ModelError(
            f"{folder} has format version {show(version)}; this ulens reads up to version "
            f"{FORMAT_VERSION}; install a newer ulens"
        )
    return read_record(Description, entries, "model")


def _read_net(folder: Path, description: Description) -> Network:
    """Read the weights first: only what they are the weights of is built."""
    weights = _read_tensors(folder, WEIGHTS, description)
    description.architecture.check_fits(sum(tensor.numel() for tensor in weights.values()))
    try:
        # on the meta device nothing is allocated or drawn
        with torch.device("meta"):
            net = build_network(description.architecture.entries())
    except (RuntimeError, OverflowError, TypeError) as error:  # sizes beyond what torch counts to
        raise SettingError(f"no network is as large as architecture says ({error})") from error
    expected = {name: _kind(tensor) for name, tensor in net.state_dict().items()}
    found = {name: _kind(tensor) for name, tensor in weights.items()}
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            raise ModelError(
                f"{folder / WEIGHTS} does not fit {MODEL}: tensor {key[:80]} has "
                f"{found.get(key)}, the network needs {expected.get(key)}; "
                "copy the whole folder again"
            )
    net.load_state_dict(weights, assign=True)
    return net.eval()


def _kind(tensor: Tensor) -> str:
    return f"shape {tuple(tensor.shape)} {tensor.dtype}"


def _check_ranges(net: Network, int8: Ranges) -> None:
    convolutions = {
        name
        for name, each in net.named_modules()
        if isinstance(each, nn.Conv2d | nn.ConvTranspose2d)
    }
    if unknown := sorted(int8.keys() - convolutions):
        raise SettingError(f"int8: {show(unknown)} are no convolutions of the network")


def _selftest(bundle: ModelBundle) -> dict[str, Tensor]:
    tensors = make_selftest(bundle.net)
    for name in ("example", "example_label"):
        if (array := getattr(bundle, name)) is not None:
            tensors[name] = torch.from_numpy(array)
    return tensors


def _read_tensors(folder: Path, name: str, description: Description) -> dict[str, Tensor]:
    expected = description.sha256.get(name)
    if expected is None:
        raise SettingError(f"model.sha256: {name} missing; add it")
    candidates = [path for path in (folder / name, new_name(folder / name)) if path.is_file()]
    if not candidates:
        raise ModelError(f"{folder} lacks {name}; copy the whole folder again")
    for path in candidates:
        data = path.read_bytes()
        if _sha256(data) == expected:
            return safetensors.torch.load(data)
    raise ModelError(
        f"{folder / name} is damaged: its sha256 is not the one in {MODEL}; "
        "copy the whole folder again"
    )


def _to_safetensors(tensors: dict[str, Tensor]) -> bytes:
    return safetensors.torch.save({name: _portable(tensor) for name, tensor in tensors.items()})


def _portable(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.float() if tensor.is_floating_point() else tensor


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _finish_renaming(folder: Path) -> None:
    """Finish a save that was killed between its renames, before its files are reused."""
    if not (folder / MODEL).is_file():
        return
    try:
        hashes = _read_description(folder).sha256
    except UlensError:
        return  # no model that could be saved from harm
    for name in (WEIGHTS, SELFTEST):
        new = new_name(folder / name)
        if new.is_file() and _sha256(new.read_bytes()) == hashes.get(name):
            new.replace(folder / name)
