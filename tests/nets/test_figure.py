"""The figure shows what the live network does, as figure 1 of the paper does."""

import re
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image as PillowImage

from ulens.errors import SettingError, ShapeError
from ulens.nets.figure import draw, lay_out, trace
from ulens.nets.unet import UNet


def texts(path) -> list[str]:
    return [node.text for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture(scope="module")
def paper_texts(tmp_path_factory) -> list[str]:
    path = tmp_path_factory.mktemp("figure") / "figure.svg"
    with torch.device("meta"):
        draw(UNet(), path)
    return texts(path)


def test_svg_shows_every_size_of_the_paper(paper_texts):
    top = [572, 570, 568, 392, 390, 388, 388]
    below = [284, 282, 280, 140, 138, 136, 68, 66, 64, 32, 30, 28]
    below += [56, 54, 52, 104, 102, 100, 200, 198, 196]
    sizes = sorted(text for text in paper_texts if re.fullmatch(r"\d+(²|×\d+)", text))
    assert sizes == sorted([f"{size}×{size}" for size in top] + [f"{size}²" for size in below])


def test_svg_shows_every_channel_count_of_the_paper(paper_texts):
    channels = [int(text) for text in paper_texts if text.isdecimal()]
    down = [1, 64, 64, 64, 128, 128, 128, 256, 256, 256, 512, 512, 512, 1024, 1024]
    up = [1024, 512, 512, 512, 256, 256, 256, 128, 128, 128, 64, 64, 2]
    assert channels == down + up


def test_svg_has_the_legend(paper_texts):
    legend = {"conv 3×3, ReLU", "copy and crop", "max pool 2×2", "up-conv 2×2", "conv 1×1"}
    assert legend < set(paper_texts)


@pytest.mark.parametrize(
    ("settings", "tile"),
    [
        ({"in_channels": 3, "num_classes": 5, "width": 4, "depth": 1}, 68),
        ({"width": 8, "depth": 3}, 100),
        ({"in_channels": 40, "num_classes": 300, "width": 2, "depth": 5}, 412),
    ],
)
def test_layout_of_any_network_has_no_overlap(settings, tile):
    with torch.device("meta"):
        net = UNet(**settings)
    boxes = lay_out(trace(net, tile), tile)
    assert boxes[0].channels == net.in_channels
    assert boxes[-1].channels == net.num_classes
    assert boxes[-1].size == net.geometry.output_size(tile)
    for index, box in enumerate(boxes):
        for other in boxes[index + 1 :]:
            is_apart_x = box.right + 20 < other.outer_left or other.right + 20 < box.outer_left
            is_apart_y = box.bottom > other.top + 20 or other.bottom > box.top + 20
            assert is_apart_x or is_apart_y


def test_trace_leaves_the_network_as_it_was():
    net = UNet(width=2, depth=1)
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    trace(net, 68)
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())
    for name, weight in net.state_dict().items():
        assert torch.equal(weight, before[name])


def test_trace_measures_the_live_network():
    net = UNet(width=2, depth=1)
    net.down[0][2] = torch.nn.Conv2d(2, 2, 5, padding=1)
    assert [step.size for step in trace(net, 68)[:3]] == [66, 64, 32]


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_other_formats(tmp_path, suffix, start):
    path = tmp_path / f"figure.{suffix}"
    draw(UNet(width=2, depth=1), path)
    assert path.read_bytes().startswith(start)


def test_png_is_landscape_and_coloured(tmp_path):
    draw(UNet(width=2, depth=2), tmp_path / "figure.png")
    with PillowImage.open(tmp_path / "figure.png") as image:
        assert image.width > image.height
        colours = {colour for _, colour in image.convert("RGB").getcolors(maxcolors=10**6)}
    arrows = {(31, 63, 143), (155, 155, 155), (192, 40, 45), (85, 160, 56), (29, 154, 152)}
    assert arrows <= colours


def test_the_same_network_gives_the_same_file(tmp_path):
    for name in ("a.svg", "b.svg"):
        draw(UNet(width=2, depth=1), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_unknown_suffix(tmp_path):
    with pytest.raises(SettingError) as error:
        draw(UNet(width=2, depth=1), tmp_path / "figure.jpg")
    assert str(error.value) == (
        "figure name is 'figure.jpg'; draw() writes .svg, .png and .pdf; "
        "end the name in one of these"
    )


def test_invalid_tile():
    with pytest.raises(ShapeError, match=r"image is 69×69; UNet\(depth=1\) takes sizes 2k\+"):
        trace(UNet(width=2, depth=1), 69)
