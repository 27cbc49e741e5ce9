"""Draws the pictures of docs/explanation: scripts/pictures.py FOLDER."""

import io
import sys
from base64 import b64encode
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Picture

from ulens.augment.geometry import GeometrySettings
from ulens.augment.intensity import IntensitySettings
from ulens.augment.pipeline import apply, draw_tile
from ulens.bundle import find_model
from ulens.nets.figure import draw
from ulens.nets.shapes import unet_geometry
from ulens.nets.unet import UNet
from ulens.predict.model import Model
from ulens.predict.tiles import Slices, Tile, plan_tiles, read_mirrored
from ulens.simulate.challenges import simulate_cells

DEPTH, LARGEST_TILE, SIZE, SECONDS = 3, 180, 256, 1.0
"""Of the moving picture: the network's poolings, pixels of tile and image, time for a tile."""


def main() -> None:
    """Draw all of them."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    draw(UNet(), folder / "unet.svg")
    (image,), (label,) = simulate_cells(1, size=SIZE, seed=5)
    cells = Model.load(find_model(Path("start"))).predict(image)[1]
    (folder / "overlap_tile.svg").write_text(overlap_tile(image, (cells * 255).astype(np.uint8)))
    Picture.fromarray(deformed(image, label)).save(folder / "elastic.png", optimize=True)


def overlap_tile(image: np.ndarray, result: np.ndarray) -> str:
    """Show tile after tile what the network reads, and what it decides.

    Parameters
    ----------
    image, result : (Y, X) uint8

    Returns
    -------
    an SVG that moves
    """
    geometry = unet_geometry(DEPTH)
    tiles = plan_tiles((SIZE, SIZE), geometry, LARGEST_TILE)
    edge = max(geometry.margin, max(tile.read[0].stop for tile in tiles) - SIZE)
    around = slice(-edge, SIZE + edge)
    mirrored = read_mirrored(image[None], (around, around))[0]
    width, height = 2 * SIZE + 3 * edge + 8, SIZE + 2 * edge + 26
    right = SIZE + 2 * edge + 8
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
    parts = [
        head,
        '<g font-family="sans-serif" font-size="13" fill="#444">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _picture(mirrored, 0),
        f'<path fill="white" fill-opacity="0.5" fill-rule="evenodd" d="M0 0h{SIZE + 2 * edge}'
        f'v{SIZE + 2 * edge}h-{SIZE + 2 * edge}z M{edge} {edge}v{SIZE}h{SIZE}v-{SIZE}z"/>',
        _window([tile.read for tile in tiles], edge, edge, "#1f6fd0"),
        _window([tile.write for tile in tiles], edge, edge, "#e8a000"),
        f'<g transform="translate({right} {edge})">{_picture(result, 0)}',
        *(_cover(tile, number, len(tiles)) for number, tile in enumerate(tiles)),
        _window([tile.write for tile in tiles], 0, 0, "#e8a000"),
        "</g>",
        f'<text x="0" y="{height - 8}">image, mirrored at its edges; blue: what the network reads'
        "</text>",
        f'<text x="{right}" y="{edge + SIZE + 20}">yellow: what it decides</text>',
        "</g></svg>",
    ]
    return "\n".join(parts) + "\n"


def _picture(grey: np.ndarray, at: int) -> str:
    file = io.BytesIO()
    Picture.fromarray(grey).save(file, "PNG", optimize=True)
    data, (height, width) = b64encode(file.getvalue()).decode(), grey.shape
    size = f'x="{at}" y="{at}" width="{width}" height="{height}"'
    return f'<image {size} href="data:image/png;base64,{data}"/>'


def _window(places: list[Slices], left: int, top: int, color: str) -> str:
    """Draw a frame that jumps from place to place; `left`, `top` is where the image begins."""
    steps = {
        "x": [x.start + left for _, x in places],
        "y": [y.start + top for y, _ in places],
        "width": [x.stop - x.start for _, x in places],
        "height": [y.stop - y.start for y, _ in places],
    }
    moves = "".join(_animate(name, values) for name, values in steps.items())
    first = " ".join(f'{name}="{values[0]}"' for name, values in steps.items())
    return f'<rect {first} fill="none" stroke="{color}" stroke-width="3">{moves}</rect>'


def _cover(tile: Tile, number: int, num_tiles: int) -> str:
    """Hide the part of the result that is not decided yet."""
    y, x = tile.write
    place = f'x="{x.start}" y="{y.start}" width="{x.stop - x.start}" height="{y.stop - y.start}"'
    hidden = _animate("opacity", [int(now < number) for now in range(num_tiles)])
    grey = 'fill="#eeeeee" stroke="#eeeeee"'  # without a stroke the tiles show hairlines between
    return f'<rect {place} {grey} opacity="0">{hidden}</rect>'


def _animate(name: str, values: list[int]) -> str:
    listed = ";".join(map(str, values))
    return (
        f'<animate attributeName="{name}" values="{listed}" calcMode="discrete" '
        f'dur="{len(values) * SECONDS}s" repeatCount="indefinite"/>'
    )


def deformed(image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Set what training makes of one annotated image beside it: images above, labels below.

    Parameters
    ----------
    image : (Y, X) uint8
    label : (Y, X) integers

    Returns
    -------
    (Y, X) uint8
    """
    grey = torch.from_numpy(image.astype(np.float32) / 128 - 1)[None]
    numbers = torch.from_numpy(label.astype(np.int64))
    columns = [_column(image, label)]
    for visit in range(4):
        drawn = draw_tile(
            GeometrySettings(),
            IntensitySettings(),
            image_sizes=[image.shape],
            output_size=image.shape,
            seed=0,
            visit=visit,
        )
        weight = torch.ones(image.shape)
        tile, target, _ = apply(drawn, grey, numbers, weight, len(image), len(image))
        shown = (tile[0].numpy() + 1).clip(0, 1.99) * 128
        columns.append(_column(shown.astype(np.uint8), target.numpy()))
    return np.concatenate(columns, axis=1)


def _column(image: np.ndarray, label: np.ndarray) -> np.ndarray:
    shades = np.where(label > 0, 60 + label * 67 % 190, 0).astype(np.uint8)
    return np.pad(np.concatenate([image, shades]), 2, constant_values=255)


if __name__ == "__main__":
    main()
