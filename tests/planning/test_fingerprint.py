import numpy as np
import pytest

from ulens.annotated.samples import Annotated, Sample
from ulens.planning.fingerprint import take_fingerprint


def fingerprint_of(label, values=(0, 255)):
    label = np.asarray(label, np.int32)
    sample = Sample(name="a", image=np.zeros((1, *label.shape), np.uint8), label=label)
    return take_fingerprint(
        Annotated(
            samples=[sample],
            labels_are="classes",
            class_values=values,
            spacing_um=None,
            reading="",
            unpaired=[],
        )
    )


def cells_and_lines(spacing_px=20):
    label = np.ones((80, 80), int)
    label[::spacing_px], label[:, ::spacing_px] = 0, 0
    return label


def test_lines_between_cells_are_membrane():
    label = cells_and_lines()
    assert fingerprint_of(label).membrane_fraction > 0.9


def test_wide_background_is_no_membrane():
    label = np.zeros((80, 80), int)
    label[10:20, 10:20] = label[10:20, 50:60] = 1
    assert fingerprint_of(label).membrane_fraction == 0


def test_more_classes_have_no_membrane():
    label = cells_and_lines()
    label[30:35, 30:35] = 2
    assert fingerprint_of(label, (0, 1, 2)).membrane_fraction == 0


def test_the_region_that_holds_the_middle_pixel_tells_how_large_classes_are():
    label = np.zeros((80, 80), int)
    label[10:50, 10:50] = 1
    label[20:30, 20:30] = 2  # splits nothing: a region of its own
    label[70, ::2] = 1  # specks
    measured = fingerprint_of(label, (0, 1, 2)).diameter_px
    assert measured == pytest.approx(np.sqrt(4 * 1500 / np.pi))
    assert fingerprint_of(np.zeros((8, 8), int)).diameter_px == 0
