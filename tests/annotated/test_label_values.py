"""Label values are read as the classes or instances they are."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ulens.annotated.label_values import decide, describe, encode, find_values, mark_ignored
from ulens.errors import LabelError

FILE = Path("a.png")


def scattered(*values: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(values, (24, 24))


def objects(*ids: int) -> np.ndarray:
    """One 2×2 object per id."""
    label = np.zeros((3, 3 * len(ids) + 1), np.int64)
    for i, number in enumerate(ids):
        label[:2, 3 * i : 3 * i + 2] = number
    return label


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param([scattered(0, 255)], "classes", id="mask"),
        pytest.param([objects(1)], "classes", id="one object is a mask too"),
        pytest.param([scattered(0, 1, 2, 3)], "classes", id="scattered classes"),
        pytest.param([scattered(1, 2)], "classes", id="without background"),
        pytest.param([objects(128, 255)] * 3, "classes", id="connected, the same in all"),
        pytest.param([objects(1, 2), objects(1, 2)], "classes", id="cytoplasm and nucleus"),
        pytest.param([objects(1, 2), objects(2)], "classes", id="a class is missing"),
        pytest.param([objects(64, 128, 192, 255)], "classes", id="grey levels"),
        pytest.param([objects(1, 2), objects(1, 2, 3)], "instances", id="ids that count up"),
        pytest.param([objects(*range(1, 38))], "instances", id="many in one image"),
        pytest.param([objects(1, 2, 3, 4)], "instances", id="four in one image"),
        pytest.param([objects(3, 7, 9, 4), objects(3, 9)], "instances", id="track ids"),
        pytest.param([objects(*range(5, 50, 5))] * 2, "instances", id="the same tracks in both"),
        pytest.param([objects(*range(1, 20)), objects()[:, :1]], "instances", id="an empty image"),
    ],
)
def test_decide(labels, expected):
    assert decide(labels, FILE) == expected


def test_a_few_broken_instances_do_not_matter():
    label = objects(*range(1, 20))
    label[2, -1] = 1  # a second region of object 1
    assert decide([label], FILE) == "instances"


def test_objects_may_connect_over_corners():
    label = np.kron(np.diag(range(1, 10)), np.eye(2, dtype=int))
    assert decide([label], FILE) == "instances"


def test_ignored_pixels_do_not_count():
    label = objects(1, 2)
    label[label == 2] = -1
    assert decide([label], FILE) == "classes"


def test_scattered_many_values_are_neither():
    noise = scattered(*range(40))
    with pytest.raises(LabelError, match=r"a\.png hold 39 values, \d+% .*neither .*JPEG"):
        decide([noise], FILE)


@pytest.mark.parametrize("value", [0, 255])
def test_a_single_value_is_refused(value):
    labels = [np.full((2, 2), value)] * 2
    with pytest.raises(LabelError, match=rf"2 label images hold only the value {value} .*a\.png"):
        find_values(labels, FILE)


def test_nothing_but_ignored_is_refused():
    with pytest.raises(LabelError, match=r"1 label image holds only ignored pixels"):
        find_values([np.full((2, 2), -1)], FILE)


def test_some_empty_images_are_fine():
    assert find_values([np.zeros((2, 2), int), np.array([[0, 7], [-1, 7]])], FILE) == (0, 7)


def test_whole_floats_are_accepted():
    marked = mark_ignored(np.array([[0.0, 2.0]], np.float32), None, FILE)
    assert marked.dtype == np.int64
    assert marked.tolist() == [[0, 2]]


def test_other_floats_are_refused():
    with pytest.raises(LabelError, match=r"a\.png holds 0\.5; label values must be whole numbers"):
        mark_ignored(np.array([[0.0, 0.5]]), None, FILE)


def test_negative_values_are_refused_unless_ignored():
    label = np.array([[-1, 0, 3]])
    with pytest.raises(LabelError, match=r"a\.png holds negative values down to -1.*give such"):
        mark_ignored(label, None, FILE)
    assert mark_ignored(label, -1, FILE).tolist() == [[-1, 0, 3]]
    assert mark_ignored(np.array([[0, 9, 3]]), 9, FILE).tolist() == [[0, -1, 3]]


label_planes = hnp.arrays(np.int64, (6, 6), elements=st.sampled_from([-1, 0, 4, 7, 200, 70_000]))


@given(label_planes)
def test_class_indices_lead_back_to_the_values(label):
    values = tuple(np.unique(label[label >= 0]).tolist()) or (0,)
    encoded = encode(label, "classes", values)
    assert encoded.dtype == np.int32
    np.testing.assert_array_equal(np.where(encoded < 0, -1, np.array(values)[encoded]), label)


@given(label_planes)
def test_instances_are_renumbered_without_gaps(label):
    encoded = encode(label, "instances", (0, 4, 7, 200, 70_000))
    ids = np.unique(encoded[encoded > 0])
    assert ids.tolist() == list(range(1, len(ids) + 1))
    np.testing.assert_array_equal(encoded == 0, label == 0)
    np.testing.assert_array_equal(encoded == -1, label == -1)
    for number in ids:
        assert len(np.unique(label[encoded == number])) == 1


def test_regions_of_a_mask_become_instances():
    label = np.array([[255, 0, 0, 255], [0, 255, 0, -1]])
    assert encode(label, "instances", (0, 255)).tolist() == [[1, 0, 0, 2], [0, 1, 0, -1]]


def test_description_of_classes():
    two = describe([np.eye(2)] * 20, "classes", (0, 255), asked=False, ignore=None)
    assert two == "20 label images hold {0, 255}: two classes, 255 = foreground"
    three = describe([np.eye(2)], "classes", (0, 128, 255), asked=True, ignore=None)
    assert three == "1 label image holds {0, 128, 255}: three classes, as requested"
    many = describe([np.eye(2)], "classes", tuple(range(12)), asked=False, ignore=None)
    assert many.endswith("11}: 12 classes")


def test_description_of_instances():
    labels = [objects(1), objects(*range(1, 38))]
    found = describe(labels, "instances", tuple(range(38)), asked=False, ignore=None)
    assert found == "2 label images hold 1…37 ids, one connected object each: instances"
    asked = describe(labels[1:], "instances", tuple(range(38)), asked=True, ignore=None)
    assert asked == "1 label image holds 37 ids: instances, as requested"
    mask = describe(labels[1:], "instances", (0, 255), asked=True, ignore=None)
    assert mask == "1 label image holds 37 connected regions: instances, as requested"


def test_description_of_ignored_pixels():
    label = np.array([[-1, 0], [1, 1]])
    found = describe([label], "classes", (0, 1), asked=False, ignore=9)
    assert found.endswith("foreground; 9 is ignored (25.0% of the pixels)")
