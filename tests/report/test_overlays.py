import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ulens.errors import ShapeError
from ulens.report.overlays import (
    TRUTH_COLOR,
    color_labels,
    color_probability,
    overlay,
    stretch_contrast,
)


def square(value=1, start=2, stop=8):
    labels = np.zeros((12, 12), np.int32)
    labels[start:stop, start:stop] = value
    return labels


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int32, np.float32, np.float64]),
        st.sampled_from([(5, 7), (1, 5, 7), (2, 5, 7), (3, 5, 7), (4, 5, 7)]),
    )
)
def test_any_image_can_be_shown(image):
    with np.errstate(all="ignore"):
        picture = stretch_contrast(image)
    assert picture.shape == (5, 7, 3)
    assert picture.dtype == np.uint8


def test_stretch_ignores_a_few_extreme_pixels_and_what_is_not_finite():
    image = np.linspace(1000, 1100, 10000).reshape(100, 100)
    image[0, :3] = 60000, np.nan, np.inf
    picture = stretch_contrast(image)[..., 0].astype(int)
    assert picture[0, 1] == 0
    assert picture[50, 50] == pytest.approx(128, abs=4)


def test_a_few_bright_spots_on_an_even_ground_show():
    image = np.zeros((100, 100), np.uint16)
    image[50, 50] = 4000
    assert stretch_contrast(image)[50, 50].tolist() == [255, 255, 255]


def test_colour_photographs_keep_their_balance_and_fluorescence_channels_do_not():
    ramp = np.linspace(0, 200, 100).reshape(10, 10)
    photograph = np.stack([ramp, ramp / 2, ramp / 2])
    assert stretch_contrast(photograph.astype(np.uint8))[9, 9].tolist()[1] < 140
    assert stretch_contrast(photograph.astype(np.uint16))[9, 9].tolist() == [255, 255, 255]


def test_outlines_lie_inside_their_instance_and_leave_the_rest_alone():
    image = np.random.default_rng(0).integers(0, 255, (12, 12)).astype(np.uint8)
    plain = overlay(image, np.zeros((12, 12), int))
    changed = (overlay(image, square()) != plain).any(axis=-1)
    outline = square() > 0
    outline[3:7, 3:7] = False
    np.testing.assert_array_equal(changed, outline)


def test_truth_that_was_missed_stays_yellow():
    picture = overlay(np.zeros((12, 12)), square(stop=5), truth=square(stop=8))
    assert tuple(picture[7, 7]) == TRUTH_COLOR
    assert tuple(picture[2, 2]) != TRUTH_COLOR


def test_neighbouring_ids_have_clearly_different_colours_none_the_truths():
    colors = color_labels(np.arange(1, 200)[None])[0].astype(int)
    assert np.abs(np.diff(colors, axis=0)).sum(axis=1).min() > 60
    assert np.abs(colors - TRUTH_COLOR).sum(axis=1).min() > 60
    assert (colors.max(axis=1) == 255).all()


def test_the_same_id_has_one_colour_in_every_picture():
    filled = color_labels(square(value=7))
    outlined = overlay(np.zeros((12, 12)), square(value=7))
    np.testing.assert_array_equal(filled[2, 2], outlined[2, 2])
    assert filled[0, 0].tolist() == [0, 0, 0]


def test_probability_grows_brighter():
    picture = color_probability(np.linspace(0, 1, 50)[None]).astype(int)
    assert picture.shape == (1, 50, 3)
    assert (np.diff(picture.sum(axis=-1)[0]) >= -3).all()


def test_says_which_shapes_differ():
    with pytest.raises(ShapeError, match=r"labels are \(12, 12\), the image is \(9, 9\)"):
        overlay(np.zeros((9, 9)), square())
    with pytest.raises(ShapeError, match=r"truth are \(12, 12\), the image is \(9, 9\)"):
        overlay(np.zeros((9, 9)), np.zeros((9, 9), int), truth=square())
    with pytest.raises(ShapeError, match=r"image has shape \(9,\); give \(Y, X\) or \(C, Y, X\)"):
        stretch_contrast(np.zeros(9))
