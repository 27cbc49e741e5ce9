"""A model as a package of the BioImage Model Zoo, specification 0.5."""

import io
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

from ulens.bundle import ModelBundle
from ulens.encodings.table import ENCODINGS
from ulens.errors import ModelError, SettingError
from ulens.export.onnx import (
    INPUT,
    MADE_BY,
    OPSET,
    OUTPUT,
    describe,
    make_graph,
    make_onnx,
    name_maps,
)
from ulens.export.sources import MAKE, list_arguments, write_source
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.nets.shapes import Geometry
from ulens.predict.tiles import read_mirrored
from ulens.record import show
from ulens.resample import inverse, resample
from ulens.training.evidence import name_grounds, name_scores

EPSILON = 1e-6
"""Added to the deviation by which images are divided, as the specification asks for."""
COVER_PX = 256
U_NET = (
    "Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation"
)
U_NET_DOI = "10.1007/978-3-319-24574-4_28"


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What the zoo asks of a model besides the model.

    Parameters
    ----------
    name : for readers
    license : SPDX identifier
    authors : their names
    """

    name: str
    license: str
    authors: Sequence[str] = ()


def make_package(bundle: ModelBundle, card: Card) -> bytes:
    """Return the content of a zip file that programs for models of the zoo run.

    Raises
    ------
    SettingError : bioimageio.spec is not installed, or does not accept the card
    ModelError : the model keeps no example of its images

    Notes
    -----
    It holds the network as ONNX and as PyTorch weights with their source, a pair of tensors to test
    it with, a cover and a page with the scores. Images are normalised before the graph, as a whole,
    so that a program that cuts them into tiles has no seams; what borders disturb is its halo.
    """
    spec, v0_5 = _import_spec()
    image = _make_example(bundle)
    with torch.inference_mode():
        normalized = (image - image.mean((1, 2), keepdims=True)) / (
            image.std((1, 2), keepdims=True) + EPSILON
        )
        graph = make_graph(bundle, is_normalized=True)
        maps = graph(torch.from_numpy(normalized[None])).numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        np.save(path / "input.npy", image[None])
        np.save(path / "output.npy", maps)
        write_tiff(path / "input.tif", Image(data=image, axes="CYX"))
        write_tiff(path / "output.tif", Image(data=maps[0], axes="CYX"))
        (path / "model.onnx").write_bytes(make_onnx(bundle, is_normalized=True))
        torch.save(graph.state_dict(), path / "weights.pt")
        (path / "network.py").write_text(write_source(bundle.net), encoding="utf-8")
        (path / "README.md").write_text(_write_page(bundle, card), encoding="utf-8")
        (path / "cover.png").write_bytes(_draw_cover(bundle, image, maps[0]))
        try:
            model = _describe_model(v0_5, bundle, card, path)
        except ValueError as error:  # of pydantic, with a list of what was refused
            refused = {each["loc"][0]: each["input"] for each in error.errors()}  # type: ignore[attr-defined]
            named = ", ".join(f"{name} {show(value)}" for name, value in refused.items())
            raise SettingError(
                f"the model zoo does not accept {named}; change it (a license is an SPDX "
                "identifier, such as CC-BY-4.0 or MIT)"
            ) from error
        out = path / "package.zip"
        spec.save_bioimageio_package(model, output_path=out)
        return out.read_bytes()


def halo_and_step(bundle: ModelBundle) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return, in (y, x) image pixels, what borders disturb, and the step of tiles without seams.

    The halo is a multiple of the step, so that tiles of such sizes, less two halos, are as well.
    """
    geometry = bundle.net.geometry
    (halo_y, step_y), (halo_x, step_x) = (_along(geometry, zoom) for zoom in bundle.zoom)
    return (halo_y, halo_x), (step_y, step_x)


def _along(geometry: Geometry, zoom: float) -> tuple[int, int]:
    step = max(1, round(geometry.alignment / zoom))
    reach = (geometry.margin + 1) / zoom + max(1.0, 1 / zoom)  # the last: of the resampling
    return math.ceil(reach / step) * step, step


def _smallest(halo: int, step: int) -> int:
    return math.ceil((2 * halo + 1) / step) * step


def _make_example(bundle: ModelBundle) -> np.ndarray:
    """Return the model's (C, Y, X) example on the grid of its images, in a size that fits."""
    if bundle.example is None:
        raise ModelError("this model keeps no example of its images; train it again to export it")
    image = resample(bundle.example, inverse(bundle.zoom))
    sides = []
    for length, halo, step in zip(image.shape[1:], *halo_and_step(bundle), strict=True):
        smallest = _smallest(halo, step)
        sides.append(smallest + max(0, (length - smallest) // step) * step)
    window = slice(0, sides[0]), slice(0, sides[1])
    return np.ascontiguousarray(read_mirrored(image, window), np.float32)


def _describe_model(v0_5: Any, bundle: ModelBundle, card: Card, path: Path) -> Any:
    kind = "instance" if bundle.labels_are == "instances" else "semantic"
    return v0_5.ModelDescr(
        name=card.name,
        description=f"A U-Net that learned {ENCODINGS[bundle.encoding].learns}",
        authors=[v0_5.Author(name=name) for name in card.authors],
        cite=[v0_5.CiteEntry(text=U_NET, doi=U_NET_DOI)],
        license=card.license,
        documentation=v0_5.FileDescr(source=path / "README.md"),
        covers=[v0_5.FileDescr(source=path / "cover.png")],
        tags=["unet", "segmentation", "microscopy", f"{kind}-segmentation"],
        inputs=[_describe_input(v0_5, bundle, path)],
        outputs=[_describe_output(v0_5, bundle, path)],
        weights=_describe_weights(v0_5, bundle, path),
        config=v0_5.Config(ulens=describe(bundle)),
    )


def _describe_input(v0_5: Any, bundle: ModelBundle, path: Path) -> Any:
    axes = []
    for name, halo, step, size in zip(
        "yx", *halo_and_step(bundle), _pixel_sizes(bundle), strict=True
    ):
        sizes = v0_5.ParameterizedSize(min=_smallest(halo, step), step=step)
        axes.append(v0_5.SpaceInputAxis(id=name, size=sizes, **size))
    channels = [f"channel{number}" for number in range(bundle.net.in_channels)]
    normalize = v0_5.ZeroMeanUnitVarianceDescr(
        kwargs=v0_5.ZeroMeanUnitVarianceKwargs(axes=["y", "x"], eps=EPSILON)
    )
    return v0_5.InputTensorDescr(
        id=INPUT,
        description="grey values",
        axes=[v0_5.BatchAxis(), v0_5.ChannelAxis(channel_names=channels), *axes],
        data=v0_5.IntervalOrRatioDataDescr(type="float32"),
        preprocessing=[normalize],
        pad=v0_5.ReflectPadding(),
        test_tensor=v0_5.FileDescr(source=path / "input.npy"),
        sample_tensor=v0_5.FileDescr(source=path / "input.tif"),
    )


def _describe_output(v0_5: Any, bundle: ModelBundle, path: Path) -> Any:
    axes = []
    halos, _ = halo_and_step(bundle)
    for name, halo, size in zip("yx", halos, _pixel_sizes(bundle), strict=True):
        like = v0_5.SizeReference(tensor_id=INPUT, axis_id=name)
        axes.append(v0_5.SpaceOutputAxisWithHalo(id=name, halo=halo, size=like, **size))
    names = [name.replace(" ", "_") for name in name_maps(bundle)]
    return v0_5.OutputTensorDescr(
        id=OUTPUT,
        description=ENCODINGS[bundle.encoding].maps,
        axes=[v0_5.BatchAxis(), v0_5.ChannelAxis(channel_names=names), *axes],
        data=v0_5.IntervalOrRatioDataDescr(type="float32", range=(0.0, 1.0)),
        test_tensor=v0_5.FileDescr(source=path / "output.npy"),
        sample_tensor=v0_5.FileDescr(source=path / "output.tif"),
    )


def _describe_weights(v0_5: Any, bundle: ModelBundle, path: Path) -> Any:
    architecture = v0_5.ArchitectureFromFileDescr(
        source=path / "network.py",
        callable=MAKE,
        kwargs={
            **list_arguments(bundle.net),
            "zoom": list(bundle.zoom),
            "softmax": ENCODINGS[bundle.encoding].activation == "softmax",
        },
    )
    return v0_5.WeightsDescr(
        onnx=v0_5.OnnxWeightsDescr(
            source=path / "model.onnx", opset_version=OPSET, parent="pytorch_state_dict"
        ),
        pytorch_state_dict=v0_5.PytorchStateDictWeightsDescr(
            source=path / "weights.pt",
            architecture=architecture,
            pytorch_version=torch.__version__.partition("+")[0],
        ),
    )


def _pixel_sizes(bundle: ModelBundle) -> list[dict[str, Any]]:
    """Return what the axes y and x tell of the size of pixels."""
    if bundle.spacing_um is None:
        return [{}, {}]
    return [{"unit": "micrometer", "scale": size} for size in bundle.spacing_um]


def _write_page(bundle: ModelBundle, card: Card) -> str:
    encoding = ENCODINGS[bundle.encoding]
    scores = name_scores(bundle) or ["no score yet"]
    grounds = name_grounds(bundle)
    spacing = bundle.spacing_um
    size = "of unknown size" if spacing is None else f"of {spacing[0]:.4g} × {spacing[1]:.4g} µm"
    names = "\n".join(f"{k}. {name}" for k, name in enumerate(name_maps(bundle), 1))
    return f"""# {card.name}

A U-Net that learned {encoding.learns}, made by {MADE_BY}. It takes images with pixels
{size} like those of its training; of others it is uncertain.

## Output
The maps are {encoding.maps}, one channel for each:

{names}

ulens makes the segmentation of them by its encoding "{bundle.encoding}" with
`{dict(bundle.decoding)}`{f"; before, {encoding.refined}" if encoding.refined else ""}.

## Validation
On images that were held out of the training: {", ".join(scores)}.
{" ".join(grounds)}

## Tiles
The whole image is normalised before it is cut. What lies within the halo of a tile's border is to
be thrown away; then tiles have no seams.
"""


def _draw_cover(bundle: ModelBundle, image: np.ndarray, maps: np.ndarray) -> bytes:
    """Draw the example beside what the network makes of it, without its margins if it is large."""
    inset, _ = halo_and_step(bundle)[0]
    side = min(image.shape[1:])
    inset = inset if side >= 3 * inset else 0
    inner = slice(inset, side - inset)
    shown = image.mean(0)
    low, high = np.percentile(shown, (0.5, 99.5))
    panels = [
        (shown - low) / max(float(high - low), 1e-6),
        ENCODINGS[bundle.encoding].view(maps),
    ]
    cover = PIL.Image.new("L", (2 * COVER_PX, COVER_PX))
    for number, panel in enumerate(panels):
        grey = (255 * panel[inner, inner].clip(0, 1)).astype(np.uint8)
        cover.paste(PIL.Image.fromarray(grey).resize((COVER_PX, COVER_PX)), (number * COVER_PX, 0))
    content = io.BytesIO()
    cover.save(content, "PNG")
    return content.getvalue()


def _import_spec() -> tuple[Any, Any]:
    try:
        import bioimageio.spec as spec
        import bioimageio.spec.model.v0_5 as v0_5
    except ImportError as error:
        raise SettingError(
            "this needs the package bioimageio.spec; install it, e.g. with: "
            "pip install 'ulens[export]'"
        ) from error
    return spec, v0_5
