"""A model as an ONNX file."""

import io
import json
import warnings
from importlib.metadata import version
from typing import Any

import torch

from ulens.bundle import ModelBundle
from ulens.encodings.table import ENCODINGS
from ulens.errors import SettingError
from ulens.export.graph import ImageGraph

OPSET = 17
"""Of 2022: known to Fiji's and QuPath's runtimes and to onnxruntime-web."""
INPUT, OUTPUT = "image", "maps"
MADE_BY = f"ulens {version('ulens')}"


def make_graph(bundle: ModelBundle, *, is_normalized: bool = False) -> ImageGraph:
    """Return the graph of a model.

    Parameters
    ----------
    is_normalized : whether its images come with zero mean and unit deviation; else the graph
        normalises them
    """
    normalization = bundle.normalization
    return ImageGraph(
        bundle.net,
        zoom=bundle.zoom,
        softmax=ENCODINGS[bundle.encoding].activation == "softmax",
        floor=() if is_normalized else normalization.floor,
        is_absolute=normalization.is_absolute,
    ).eval()


def make_onnx(bundle: ModelBundle, *, is_normalized: bool = False) -> bytes:
    """Return the content of an ONNX file that maps (B, C, Y, X) float32 to (B, K, Y, X) float32.

    Parameters
    ----------
    is_normalized : as `make_graph`

    Raises
    ------
    SettingError : onnx is not installed

    Notes
    -----
    Images of any size are taken; the file's metadata name the maps and how ulens decodes them.
    """
    onnx = import_onnx()
    graph = make_graph(bundle, is_normalized=is_normalized)
    image = torch.zeros(1, bundle.net.in_channels, 30, 40)
    axes = {0: "batch", 2: "y", 3: "x"}
    content = io.BytesIO()
    with warnings.catch_warnings():
        # checks of sizes are not traced, as wanted: the graph makes valid ones
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph, (image,), content,  # type: ignore[arg-type] # this exporter takes a stream
            input_names=[INPUT], output_names=[OUTPUT],
            dynamic_axes={INPUT: axes, OUTPUT: axes}, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    model = onnx.load_from_string(content.getvalue())
    model.producer_name, model.producer_version = MADE_BY.split()
    onnx.helper.set_model_props(model, describe(bundle))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def name_maps(bundle: ModelBundle) -> list[str]:
    """Return what each map of a model shows."""
    names = list(ENCODINGS[bundle.encoding].outputs)
    return names or [f"class {value}" for value in bundle.class_values]


def describe(bundle: ModelBundle) -> dict[str, str]:
    """Return what a program that runs the model should know, as texts."""
    encoding = ENCODINGS[bundle.encoding]
    found: dict[str, Any] = {
        "made_by": MADE_BY,
        "learns": encoding.learns,
        "maps": name_maps(bundle),
        "maps_are": encoding.maps,
        "encoding": bundle.encoding,
        "decoding": dict(bundle.decoding),
        "class_values": list(bundle.class_values),
        "pixel_size_um": bundle.spacing_um,
        "scores": bundle.scores,
    }
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in found.items()
        if value is not None
    }


def import_onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise SettingError(
            "this needs the package onnx; install it, e.g. with: pip install 'ulens[export]'"
        ) from error
    return onnx
