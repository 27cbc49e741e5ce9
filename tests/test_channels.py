import numpy as np
import pytest

from ulens.channels import common_channels, fit_channels, is_grey

GREY = np.arange(6).reshape(1, 2, 3)
GREY_AS_COLOR = np.repeat(GREY, 3, axis=0)
COLOR = GREY_AS_COLOR + np.array([0, 0, 1]).reshape(3, 1, 1)


def test_grey_is_what_has_equal_channels():
    assert is_grey(GREY)
    assert is_grey(GREY_AS_COLOR)
    assert not is_grey(COLOR)


@pytest.mark.parametrize(
    ("images", "num_channels"),
    [
        ([GREY, GREY], 1),
        ([GREY_AS_COLOR, GREY_AS_COLOR], 1),
        ([GREY_AS_COLOR, COLOR], 3),
        ([GREY, GREY_AS_COLOR], 3),
        ([GREY, COLOR], 3),
        ([GREY[[0, 0]], GREY[[0, 0]]], 2),
        ([GREY, GREY[[0, 0]]], None),
        ([COLOR, GREY, GREY[[0, 0]]], None),
    ],
)
def test_images_get_the_channels_that_all_can_have(images, num_channels):
    assert common_channels(images) == num_channels
    if num_channels is not None:
        assert {len(fit_channels(image, num_channels)) for image in images} == {num_channels}


def test_only_color_with_equal_channels_stands_for_grey():
    np.testing.assert_array_equal(fit_channels(GREY_AS_COLOR, 1), GREY)
    np.testing.assert_array_equal(fit_channels(GREY, 3), GREY_AS_COLOR)
    for image, num_needed in ((COLOR, 1), (GREY[[0, 0]], 1), (GREY, 2)):
        np.testing.assert_array_equal(fit_channels(image, num_needed), image)


def test_what_fits_stays_where_it_is():
    for image, num_needed in ((COLOR, 3), (GREY, 1), (GREY_AS_COLOR, 1)):
        assert np.shares_memory(fit_channels(image, num_needed), image)
