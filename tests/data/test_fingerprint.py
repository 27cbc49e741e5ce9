import numpy as np

from ulens.data.fingerprint import take_fingerprint
from ulens.io.annotations import Annotated, Sample


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
