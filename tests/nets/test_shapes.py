"""Geometry against a plain walk through the network's sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ulens.errors import SettingError, ShapeError
from ulens.nets.shapes import Geometry, unet_geometry

DEPTHS = st.integers(1, 6)


def walk(size: int, depth: int) -> int | None:
    """Output size of a U-Net for `size`, or None where a pooling or a convolution does not fit."""
    for _ in range(depth):
        size -= 4
        if size <= 0 or size % 2:
            return None
        size //= 2
    size -= 4
    for _ in range(depth):
        if size <= 0:
            return None
        size = 2 * size - 4
    return size if size > 0 else None


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_valid_sizes_and_margin_are_those_of_the_walk(depth):
    geometry = unet_geometry(depth)
    for size in range(1, 800):
        output = walk(size, depth)
        assert geometry.is_valid(size) == (output is not None)
        if output is not None:
            assert geometry.output_size(size) == output


@pytest.mark.parametrize(
    ("depth", "base", "alignment", "margin"),
    [(1, 18, 2, 8), (2, 44, 4, 20), (3, 92, 8, 44), (4, 188, 16, 92)],
)
def test_smallest_sizes(depth, base, alignment, margin):
    assert unet_geometry(depth) == Geometry(base=base, alignment=alignment, margin=margin)


@pytest.mark.parametrize("depth", [-1, 0, 13, 10**12])
def test_a_u_net_of_no_depth_or_too_deep_is_refused(depth):
    with pytest.raises(SettingError, match=f"^depth is {depth}; a U-Net needs 1 to 12$"):
        unet_geometry(depth)


def test_the_deepest_u_net_has_a_size():
    assert unet_geometry(12) == Geometry(base=49_148, alignment=4096, margin=24_572)


@pytest.mark.parametrize("k", range(8, 60))
def test_sizes_of_the_paper_follow_its_rule(k):
    geometry = unet_geometry(4)
    assert geometry.is_valid(16 * k + 60)
    assert geometry.output_size(16 * k + 60) == 16 * k - 124


def test_the_paper_s_tile_and_a_512_output():
    geometry = unet_geometry(4)
    assert geometry.output_size(572) == 388
    assert (geometry.input_size(512), geometry.output_size(700)) == (700, 516)


@given(depth=DEPTHS, output=st.integers(1, 5000))
def test_input_size_is_the_smallest_that_holds_the_output(depth, output):
    geometry = unet_geometry(depth)
    size = geometry.input_size(output)
    assert geometry.is_valid(size)
    assert geometry.output_size(size) >= output
    smaller = size - geometry.alignment
    assert not geometry.is_valid(smaller) or geometry.output_size(smaller) < output


@given(depth=DEPTHS, steps=st.integers(0, 300))
def test_input_size_inverts_output_size(depth, steps):
    geometry = unet_geometry(depth)
    size = geometry.base + steps * geometry.alignment
    assert geometry.input_size(geometry.output_size(size)) == size


@given(depth=DEPTHS, height=st.integers(0, 1500), width=st.integers(0, 1500))
def test_check_refuses_what_is_invalid_and_proposes_what_is_valid(depth, height, width):
    geometry = unet_geometry(depth)
    if geometry.is_valid(height) and geometry.is_valid(width):
        geometry.check(height, width, "net")
        return
    with pytest.raises(ShapeError) as error:
        geometry.check(height, width, "net")
    proposal = str(error.value).split("pad to ")[1].split(" ")[0]
    for proposed, came in zip(map(int, proposal.split("×")), (height, width), strict=True):
        assert geometry.is_valid(proposed)
        assert came <= proposed
        assert proposed - came < geometry.alignment or proposed == geometry.base


@given(base=st.integers(1, 200), steps=st.integers(0, 200), margin=st.integers(0, 90))
def test_a_network_without_alignment_takes_every_size_from_its_base_up(base, steps, margin):
    geometry = Geometry(base=base + 2 * margin, alignment=1, margin=margin)
    assert geometry.is_valid(geometry.base + steps)
    assert not geometry.is_valid(geometry.base - 1)
    assert geometry.input_size(base + steps) == geometry.base + steps
