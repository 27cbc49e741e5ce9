import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulens.errors import ShapeError
from ulens.nets.shapes import Geometry, unet_geometry
from ulens.predict.tiles import Tile, mirror_indices, plan_tiles, read_mirrored

GEOMETRIES = [
    *(unet_geometry(depth) for depth in (1, 2, 3, 4)),
    Geometry(base=102, alignment=1, margin=47),
    Geometry(base=96, alignment=32, margin=32),
]
geometries = st.sampled_from(GEOMETRIES)
shapes = st.tuples(st.integers(1, 300), st.integers(1, 300))


@settings(max_examples=50, deadline=None)
@given(shapes, geometries, st.integers(1, 400))
def test_every_pixel_is_written_exactly_once(shape, geometry, max_input):
    count = np.zeros(shape, int)
    for tile in plan_tiles(shape, geometry, max_input):
        count[tile.write] += 1
    assert (count == 1).all()


@settings(max_examples=50, deadline=None)
@given(shapes, geometries, st.integers(1, 400))
def test_tiles_lie_on_the_pooling_grid_and_fit_the_network(shape, geometry, max_input):
    tiles = plan_tiles(shape, geometry, max_input)
    sizes = {tuple(side.stop - side.start for side in tile.read) for tile in tiles}
    assert len(sizes) == 1
    for tile in tiles:
        for read, write, inner in zip(tile.read, tile.write, tile.inner, strict=True):
            size = read.stop - read.start
            assert geometry.is_valid(size)
            assert (read.start + geometry.margin) % geometry.alignment == 0
            assert read.start + geometry.margin + inner.start == write.start
            assert write.stop - write.start == inner.stop - inner.start
            assert inner.stop <= geometry.output_size(size)


@settings(max_examples=50, deadline=None)
@given(shapes, geometries, st.integers(1, 400))
def test_tiles_are_bounded_where_a_bounded_tile_can_cover_the_image(shape, geometry, max_input):
    read = plan_tiles(shape, geometry, max_input)[0].read
    smallest = geometry.input_size(geometry.alignment)
    assert all(side.stop - side.start <= max(max_input, smallest) for side in read)


def test_steps_of_384_for_outputs_of_388():
    tiles = plan_tiles((388 + 384, 388), unet_geometry(4), 572)
    assert tiles == [
        Tile(
            read=(slice(-92, 480), slice(-92, 480)),
            write=(slice(0, 384), slice(0, 388)),
            inner=(slice(0, 384), slice(0, 388)),
        ),
        Tile(
            read=(slice(292, 864), slice(-92, 480)),
            write=(slice(384, 772), slice(0, 388)),
            inner=(slice(0, 388), slice(0, 388)),
        ),
    ]


def test_the_size_with_the_fewest_input_pixels_wins():
    def input_pixels(length, size, geometry):
        step = geometry.output_size(size) // geometry.alignment * geometry.alignment
        return size * (1 + max(0, -(-(length - geometry.output_size(size)) // step)))

    geometry = unet_geometry(4)
    for length in (700, 1000, 1333, 5000):
        tiles = plan_tiles((length, 1), geometry, 828)
        size = tiles[0].read[0].stop - tiles[0].read[0].start
        best = min(input_pixels(length, s, geometry) for s in range(204, 829, 16))
        assert size * len(tiles) == best == input_pixels(length, size, geometry)


def test_an_empty_image_is_refused():
    with pytest.raises(ShapeError, match="image is 0×5 pixels; need at least one pixel"):
        plan_tiles((0, 5), unet_geometry(1), 100)


@given(st.integers(1, 12), st.integers(0, 50), st.integers(0, 50))
def test_mirror_indices_agree_with_numpy(size, before, after):
    expected = np.pad(np.arange(size), (before, after), mode="reflect")
    np.testing.assert_array_equal(mirror_indices(-before, size + after, size), expected)


def test_read_mirrored_as_a_picture():
    image = np.array([[[1, 2, 3], [4, 5, 6]]])
    window = read_mirrored(image, (slice(-1, 3), slice(-2, 4)))
    np.testing.assert_array_equal(
        window[0],
        [
            [6, 5, 4, 5, 6, 5],
            [3, 2, 1, 2, 3, 2],
            [6, 5, 4, 5, 6, 5],
            [3, 2, 1, 2, 3, 2],
        ],
    )
