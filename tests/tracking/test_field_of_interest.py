import numpy as np
import pytest

from ulens.annotated.ctc import find_truth, read_labels
from ulens.errors import SettingError
from ulens.tracking.field_of_interest import FIELD_OF_INTEREST_PX, drop_outside_field

LABELS = np.array(
    [
        [1, 1, 0, 3, 3],
        [0, 0, 0, 3, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [2, 2, 0, 0, 4],
    ],
    np.uint16,
)


def test_objects_without_pixel_in_the_field_are_dropped():
    kept = drop_outside_field(LABELS, 1)
    assert kept.dtype == np.uint16
    np.testing.assert_array_equal(kept, np.where(LABELS == 3, 3, 0))


def test_without_border_nothing_is_dropped():
    np.testing.assert_array_equal(drop_outside_field(LABELS, 0), LABELS)


def test_slices_have_no_border():
    stack = np.stack([LABELS, np.zeros_like(LABELS)])
    np.testing.assert_array_equal(drop_outside_field(stack, 1)[0], drop_outside_field(LABELS, 1))


def test_border_wider_than_the_image_leaves_no_field():
    assert not drop_outside_field(LABELS, 3).any()


def test_negative_border_is_an_error():
    with pytest.raises(SettingError, match="field of interest starts -1 px inside; need 0 or more"):
        drop_outside_field(LABELS, -1)


def test_borders_of_the_data_sets():
    assert FIELD_OF_INTEREST_PX["DIC-C2DH-HeLa"] == FIELD_OF_INTEREST_PX["PhC-C2DH-U373"] == 50
    assert FIELD_OF_INTEREST_PX["Fluo-N2DL-HeLa"] == FIELD_OF_INTEREST_PX["PhC-C2DL-PSC"] == 25
    assert FIELD_OF_INTEREST_PX["Fluo-N2DH-SIM+"] == 0


@pytest.mark.real
@pytest.mark.parametrize("name", ["DIC-C2DH-HeLa/01", "PhC-C2DH-U373/02"])
def test_real_segmentations_hold_no_object_outside_the_field(real_data, name):
    data_set, sequence = name.split("/")
    for each in find_truth(real_data / data_set / f"{sequence}_GT").segmentation:
        labels = read_labels(each.path)
        np.testing.assert_array_equal(
            drop_outside_field(labels, FIELD_OF_INTEREST_PX[data_set]), labels
        )
