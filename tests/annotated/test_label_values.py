"""Label values are read as the classes or instances they are."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import cases
from ulens.annotated.label_looks import look_like_labels
from ulens.annotated.label_signs import Sign
from ulens.annotated.label_values import (
    check_trainable,
    decide,
    describe,
    encode,
    find_values,
    judge,
    mark_ignored,
)
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


def nucleus_in_cell() -> np.ndarray:
    label = np.zeros((12, 12), np.int64)
    label[2:10, 2:10] = 1
    label[4:7, 4:7] = 2
    return label


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param([scattered(0, 255)], "classes", id="mask"),
        pytest.param([objects(1)], "classes", id="one object is a mask too"),
        pytest.param([scattered(0, 1, 2, 3)], "classes", id="scattered classes"),
        pytest.param([scattered(1, 2)], "classes", id="without background"),
        pytest.param([objects(128, 255)] * 3, "classes", id="connected, the same in all"),
        pytest.param([cases.nuclei_in_cells(0)], "classes", id="cytoplasm and nucleus"),
        pytest.param([nucleus_in_cell()], "classes", id="one cell with its nucleus"),
        pytest.param([objects(3, 7, 9)], "instances", id="three ids with gaps"),
        pytest.param([1 + (cases.cells(0, number=1) > 0)], "classes", id="1 is the ground"),
        pytest.param([objects(64, 128, 192, 255)], "classes", id="grey levels"),
        pytest.param([objects(1, 2), objects(1, 2, 3)], "instances", id="ids that count up"),
        pytest.param([objects(*range(1, 38))], "instances", id="many in one image"),
        pytest.param([objects(1, 2, 3, 4)], "instances", id="four in one image"),
        pytest.param([objects(3, 7, 9, 4), objects(3, 9)], "instances", id="track ids"),
        pytest.param([objects(*range(5, 50, 5))] * 2, "instances", id="the same tracks in both"),
        pytest.param([objects(*range(1, 20)), objects()[:, :1]], "instances", id="an empty image"),
        pytest.param([objects(4, 5, 6, 70001, 135537, 3000000000)], "instances", id="gaps"),
        pytest.param([objects(*range(1, 13))] * 3, "instances", id="as many in every image"),
    ],
)
def test_decide(labels, expected):
    assert meaning(labels) == expected


def meaning(labels, file=FILE):
    sign = decide(judge([np.asarray(label, np.int64) for label in labels], [file] * len(labels)))
    return "instances" if sign is not None and sign.weight > 0 else "classes"


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param([objects(1, 2)], id="two cells or two classes"),
        pytest.param([objects(1, 2)] * 2, id="again"),
        pytest.param([objects(20, 220)], id="two values with a gap"),
        pytest.param([objects(1, 2), objects(2)], id="one is missing"),
        pytest.param([objects(1, 2, 3, 4)] * 9, id="four in each of nine"),
    ],
)
def test_what_the_values_do_not_tell_is_asked(labels):
    message = (
        r"label images such as a\.png hold \{0, .*\}, which may be classes or instances: that each "
        r"is one connected object.* speaks for instances, .* for classes; say which it is with "
        r"--labels-are instances or --labels-are classes"
    )
    with pytest.raises(LabelError, match=message):
        meaning(labels)


def test_a_few_broken_instances_do_not_matter():
    label = objects(*range(1, 20))
    label[2, -1] = 1  # a second region of object 1
    assert meaning([label]) == "instances"


def test_objects_may_connect_over_corners():
    label = np.kron(np.diag(range(1, 10)), np.eye(2, dtype=int))
    assert meaning([label]) == "instances"


def test_ignored_pixels_do_not_count():
    label = objects(1, 2)
    label[label == 2] = -1
    assert meaning([label]) == "classes"


seeds = st.integers(0, 10_000)
counts = st.integers(1, 3)


@settings(max_examples=10, deadline=None)
@given(seeds, counts, st.data())
def test_cells_with_any_ids_are_instances(seed, num_images, data):
    labels = [cases.cells(seed + i, number=8 + i) for i in range(num_images)]
    highest = data.draw(st.sampled_from([20, 200, 65_535, 2**32]), "highest id")
    ids = st.lists(st.integers(1, highest), min_size=12, max_size=12, unique=True)
    counted = data.draw(st.booleans(), "counted from 1")
    numbered = [
        each if counted else cases.renumbered(each, data.draw(ids)[: each.max()]) for each in labels
    ]
    assert meaning(numbered) == "instances"


@settings(max_examples=6, deadline=None)
@given(seeds, counts, st.sampled_from([1, 100, 127]))
def test_nuclei_in_cells_are_classes(seed, num_images, paint):
    assert meaning([paint * cases.nuclei_in_cells(seed + i) for i in range(num_images)]) == (
        "classes"
    )


@settings(max_examples=10, deadline=None)
@given(seeds, counts, st.data())
def test_a_mask_is_a_mask_however_its_edges_were_blended(seed, num_images, data):
    how = data.draw(st.sampled_from(["drawn", "interpolated", "jpeg", "jpeg of old"]))
    file, factor = FILE, 1.0
    if how == "drawn":
        cause, fineness = "soft edges as drawn|blur", data.draw(st.sampled_from([2, 4, 8]))
        labels = [cases.drawn_with_soft_edges(seed + i, fineness) for i in range(num_images)]
    else:
        labels = [255 * np.sign(cases.cells(seed + i)) for i in range(num_images)]
        if how == "interpolated":
            cause, factor = "soft edges as drawn|blur", data.draw(st.sampled_from([0.7, 2.0, 3.0]))
            labels = [cases.resized(label, factor, order=1) for label in labels]
        else:
            cause, quality = "JPEG", data.draw(st.integers(75, 98))
            labels = [cases.through_jpeg(label, quality) for label in labels]
            file = Path("a.jpg") if how == "jpeg" else FILE
    judged = judge([label.astype(np.int64) for label in labels], [file] * num_images)
    assert judged.values == (0, 255)
    assert re.search(cause, judged.soft.cause)
    assert decide(judged) is None
    for label, hard in zip(labels, judged.labels, strict=True):
        assert (hard[label > 200] == 255).all()
        assert (hard[label < 55] == 0).all()


@settings(max_examples=10, deadline=None)
@given(seeds, counts, st.data())
def test_blended_ids_and_classes_are_refused(seed, num_images, data):
    make = data.draw(st.sampled_from([cases.cells, cases.nuclei_in_cells]))
    scale = 20 if make is cases.cells else 120
    factor = data.draw(st.sampled_from([1.5, 2.0, 3.0, 4.0]))
    labels = [cases.resized(scale * make(seed + i), factor, order=1) for i in range(num_images)]
    with pytest.raises(LabelError, match=r"resized with interpolation, .* nearest neighbours"):
        meaning(labels)
    jpeg = [cases.through_jpeg(scale * make(seed + i), 80) for i in range(num_images)]
    with pytest.raises(LabelError, match=r"JPEG|grey values, not labels"):
        meaning(jpeg, Path("a.jpg"))


@settings(max_examples=6, deadline=None)
@given(seeds, counts, st.sampled_from([0, 40]), st.sampled_from([1, 6]))
def test_images_and_probabilities_are_no_labels(seed, num_images, ground, noise):
    cells = [cases.cells(seed + i) for i in range(num_images)]
    images = [cases.picture(each, seed, ground=ground, noise=noise) for each in cells]
    for grey in (images, [cases.probabilities(each) for each in cells]):
        with pytest.raises(LabelError, match=r"images or probabilities in grey values, not labels"):
            meaning(grey)
    assert not look_like_labels(images[0][None])
    assert look_like_labels(cells[0][None])
    assert look_like_labels(cases.drawn_with_soft_edges(seed, 4)[None])


def test_classes_of_jpeg_are_refused_unless_the_user_says_so():
    label, file = objects(1, 2, 3), Path("a.jpg")
    with pytest.raises(LabelError, match=r"a\.jpg hold 4 values: JPEG compression does not keep"):
        judge([label], [file])
    assert judge([label], [file], is_told=True).values == (0, 1, 2, 3)


def test_255_for_pixels_of_no_class_is_no_soft_mask():
    label = cases.nuclei_in_cells(1).astype(np.int64)
    label[:, -3:] = 255
    label[:, -9:-6] = 3
    assert judge([label], [FILE]).values == (0, 1, 2, 3, 255)


@pytest.mark.parametrize("value", [0, 255])
def test_a_single_value_is_refused(value):
    labels = [np.full((2, 2), value)] * 2
    with pytest.raises(LabelError, match=rf"2 label images hold only the value {value} .*a\.png"):
        check_trainable(labels, FILE)


def test_nothing_but_ignored_is_refused():
    with pytest.raises(LabelError, match=r"1 label image holds only ignored pixels"):
        check_trainable([np.full((2, 2), -1)], FILE)


def test_some_empty_images_are_fine():
    labels = [np.zeros((2, 2), int), np.array([[0, 7], [-1, 7]])]
    check_trainable(labels, FILE)
    assert find_values(labels) == (0, 7)


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
    why = Sign(2, "each is one connected object")
    found = describe(labels, "instances", tuple(range(38)), why=why)
    assert found == ("2 label images hold 1…37 ids: instances, since each is one connected object")
    asked = describe(labels[1:], "instances", tuple(range(38)), asked=True, ignore=None)
    assert asked == "1 label image holds 37 ids: instances, as requested"
    mask = describe(labels[1:], "instances", (0, 255), asked=True, ignore=None)
    assert mask == "1 label image holds 37 connected regions: instances, as requested"


def test_description_of_a_mask_with_soft_edges():
    label = cases.drawn_with_soft_edges(0, 4).astype(np.int64)
    judged = judge([label], [FILE])
    found = describe(judged.labels, "classes", judged.values, soft=judged.soft)
    assert found == (
        "1 label image holds {0, 255}: two classes, 255 = foreground; the files hold "
        f"{len(np.unique(label))} values, by soft edges as drawn, cut half way between 0 and 255"
    )


def test_description_of_ignored_pixels():
    label = np.array([[-1, 0], [1, 1]])
    found = describe([label], "classes", (0, 1), asked=False, ignore=9)
    assert found.endswith("foreground; 9 is ignored (25.0% of the pixels)")
