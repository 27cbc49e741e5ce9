from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import brightness
from ulens.errors import DataError, ShapeError
from ulens.image import Image
from ulens.predict.segmenter import Segmenter

DECODING = {
    "boundary": {"threshold": 0.5, "min_area_px": 20},
    "membrane": {"threshold": 0.5},
    "classes": {},
}


def make_bundle(encoding="boundary", **settings):
    """The model of brightness.py; trained at 0.5 µm."""
    return brightness.make_bundle(
        encoding=encoding, decoding=DECODING[encoding], spacing_um=(0.5, 0.5), **settings
    )


def draw(*boxes, size=(48, 64)):
    """(1, Y, X) uint8: bright boxes (y, x, height, width) on a dark ground."""
    plane = np.full((1, *size), 10, np.uint8)
    for y, x, height, width in boxes:
        plane[0, y : y + height, x : x + width] = 200
    return plane


FINE = draw((8, 8, 16, 16), (8, 40, 20, 12))


@pytest.mark.parametrize("factor", [(0.5, 0.5), (1, 1), (2, 2), (0.5, 2)])
def test_what_is_found_has_the_size_of_the_image(factor):
    found = Segmenter(make_bundle()).segment(FINE, factor)
    assert found.labels.dtype == np.int32
    assert found.maps.shape == (2, 48, 64)
    assert found.maps.dtype == np.float32
    np.testing.assert_allclose(found.maps.sum(axis=0), 1, atol=1e-5)
    assert set(np.unique(found.labels)) == {0, 1, 2}
    is_wrong = (found.labels > 0) != (FINE[0] > 100)
    assert is_wrong.sum() <= (0 if factor == (1, 1) else 72)  # half a pixel of the rims' 128


def test_gaps_in_membranes_are_closed_in_labels_and_maps():
    """Two cells and a membrane between them, with a gap of 6 px."""
    plane = draw((0, 0, 48, 30), (0, 34, 48, 30), (20, 30, 6, 4))
    classes, membrane = (Segmenter(make_bundle(name)) for name in ("classes", "membrane"))
    assert ndimage.label(classes.segment(plane).labels)[1] == 1
    found = membrane.segment(plane)
    assert set(np.unique(found.labels)) == {0, 255}
    assert ndimage.label(found.labels)[1] == 2
    assert ndimage.label(found.maps[1] > 0.5)[1] == 2


def test_the_network_sees_the_size_of_the_training_images():
    """The same scene at half the pixel size gives what the coarse one gives, each pixel twice."""
    coarse = draw((4, 4, 8, 8), (4, 20, 10, 6), size=(24, 32))
    expected = Segmenter(make_bundle()).segment(coarse)
    found = Segmenter(make_bundle()).segment(np.kron(coarse, np.ones((1, 2, 2))), (0.5, 0.5))
    twice = np.kron(expected.labels, np.ones((2, 2)))
    assert (found.labels != twice).sum() <= 8  # corners, which lie between the coarse pixels
    assert np.abs(found.maps - np.kron(expected.maps, np.ones((2, 2)))).max() < 0.5


def test_areas_count_pixels_of_the_training_images():
    bundle = make_bundle()
    bundle.decoding["min_area_px"] = 30
    six_wide = draw((10, 10, 6, 6), size=(40, 40))
    assert Segmenter(bundle).segment(six_wide).labels.any()
    assert not Segmenter(bundle).segment(six_wide, (0.5, 0.5)).labels.any()


@pytest.mark.parametrize("factor", [(0.4, 0.4), (1, 1), (2.5, 2.5)])
def test_classes_are_those_of_the_likeliest_maps(factor):
    bundle = make_bundle("classes", class_values=(7, 300))
    found = Segmenter(bundle).segment(FINE, factor)
    assert found.labels.dtype == np.uint16
    np.testing.assert_array_equal(found.labels, np.array([7, 300])[found.maps.argmax(axis=0)])
    assert {7, 300} == set(np.unique(found.labels))


@pytest.mark.parametrize("factor", [(1, 1), (3, 3)])
def test_the_stream_yields_as_often_as_foretold_and_finds_the_same(factor):
    segmenter, plane = Segmenter(make_bundle()), draw((8, 40, 30, 30), size=(60, 320))
    work, num_yields = segmenter.stream(plane, factor), 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            streamed = end.value
            break
        num_yields += 1
    assert num_yields == segmenter.num_tiles((60, 320), factor) == (1 if factor == (1, 1) else 2)
    found = segmenter.segment(plane, factor)
    np.testing.assert_array_equal(streamed.labels, found.labels)
    np.testing.assert_array_equal(streamed.maps, found.maps)


def test_a_grey_plane_passes_for_color_and_color_without_color_for_grey():
    grey = Segmenter(make_bundle()).segment(FINE).labels
    for bundle, plane in (
        (make_bundle(in_channels=3), FINE),
        (make_bundle(), np.repeat(FINE, 3, axis=0)),
    ):
        np.testing.assert_array_equal(Segmenter(bundle).segment(plane).labels, grey)


def test_channels_that_do_not_fit_are_named():
    work = Segmenter(make_bundle()).stream(np.zeros((2, 8, 8)), name="cells.tif")
    with pytest.raises(ShapeError, match=r"cells\.tif has 2 channels; the model was trained on 1"):
        next(work)


def test_the_factor_is_that_of_image_and_training_images():
    segmenter = Segmenter(make_bundle())
    image = Image(data=FINE[0], axes="YX", spacing_um=(0.25, 0.25))
    assert segmenter.find_factor(image) == (0.5, 0.5)
    far_off = Image(data=FINE[0], axes="YX", spacing_um=(25, 25))
    with pytest.raises(DataError, match=r"image has 25 µm per pixel, the model learned at 0\.5"):
        segmenter.find_factor(far_off)


@pytest.mark.parametrize("network_zoom", [0.5, 1.0])
def test_cells_of_another_size_are_found_where_the_zoom_makes_up_for_it(network_zoom):
    bundle = replace(make_bundle(), zoom=(network_zoom, network_zoom))
    bundle.decoding["min_area_px"] = 70
    small = draw((10, 10, 5, 5), size=(40, 48))
    assert not Segmenter(bundle).segment(small).labels.any()
    larger = Segmenter(bundle, zoom=2.0)
    factor = larger.find_factor(Image(data=small[0], axes="YX"))
    assert factor == (2.0, 2.0)
    found = larger.segment(small, factor).labels
    assert found.shape == (40, 48)
    assert found.max() == 1
    np.testing.assert_allclose(np.argwhere(found).mean(0), [12, 12], atol=0.5)


def test_the_network_sees_an_image_at_its_own_pixel_size():
    bundle = replace(make_bundle(), zoom=(0.5, 0.25))
    segmenter = Segmenter(bundle)
    prepared = segmenter._prepare(draw((8, 40, 30, 30), size=(61, 320)), (1.0, 2.0), "image")
    assert prepared.shape == (1, 31, 160)
    assert segmenter.num_tiles((61, 320), (1.0, 2.0)) >= 1


@pytest.mark.parametrize("doubt", ["entropy", "disagreement"])
@pytest.mark.parametrize("factor", [(0.5, 0.5), (1, 1), (0.5, 2)])
def test_uncertainty_has_the_size_of_the_image(factor, doubt):
    work = Segmenter(make_bundle()).stream_uncertainty(FINE, factor, doubt=doubt)
    num_tiles = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            found = end.value
            break
        num_tiles += 1
    assert num_tiles == Segmenter(make_bundle()).num_tiles((48, 64), factor)
    assert found.shape == (48, 64)
    assert found.dtype == np.float32
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("window", [(slice(0, 20), slice(30, 64)), (slice(6, 48), slice(2, 50))])
def test_a_part_of_an_image_shows_what_the_whole_one_does(window):
    segmenter = Segmenter(make_bundle("classes"))
    whole = segmenter.segment(FINE)
    part = segmenter.segment_part(FINE, window, (9, 5))
    np.testing.assert_array_equal(part.labels, whole.labels[window])
    np.testing.assert_allclose(part.maps, whole.maps[:, *window], atol=1e-5)
    assert 0 < (part.labels > 0).mean() < 1
