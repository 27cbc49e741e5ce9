"""What is written as COCO comes out of two decoders that are not ours."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.draw import polygon2mask

import cases
from ulens.errors import FileError
from ulens.io.coco import join_coco
from ulens.io.rois import write_rois

LABELS = arrays(
    np.int32,
    array_shapes(min_dims=2, max_dims=3, max_side=8),
    elements=st.sampled_from([0, 1, 2, 70, 2**31 - 1]),
)


def written(folder, labels, **options):
    path = folder / "a.coco.json"
    write_rois(path, labels, axes="TYX"[-labels.ndim :], image="a.png", **options)
    return path


def decode(segmentation, size):
    """Fill a segmentation as the format's description says."""
    if isinstance(segmentation, dict):
        assert segmentation["size"] == list(size)
        values = np.arange(len(segmentation["counts"])) % 2 == 1
        return np.repeat(values, segmentation["counts"]).reshape(size, order="F")
    rings = [np.array(flat).reshape(-1, 2) for flat in segmentation]
    # here a pixel's center is a whole number
    return np.any([polygon2mask(size, ring[:, ::-1] - 0.5) for ring in rings], axis=0)


def decode_by_pycocotools(path):
    coco = pytest.importorskip("pycocotools.coco").COCO(path)
    return {each["id"]: coco.annToMask(each).astype(bool) for each in coco.dataset["annotations"]}


def check(path, labels, masks):
    content = json.loads(path.read_text())
    planes = labels.reshape(-1, *labels.shape[-2:])
    rest = planes.copy()
    assert [each["id"] for each in content["images"]] == list(range(1, len(planes) + 1))
    known = {each["id"] for each in content["categories"]}
    for each in content["annotations"]:
        mask, plane = masks[each["id"]], each["image_id"] - 1
        np.testing.assert_array_equal(mask, planes[plane] == each["label"])
        rest[plane][mask] = 0
        rows, columns = np.nonzero(mask)
        top, left = rows.min(), columns.min()
        box = [left, top, columns.max() + 1 - left, rows.max() + 1 - top]
        assert each["bbox"] == box
        assert (each["area"], each["iscrowd"]) == (mask.sum(), 0)
        assert each["category_id"] in known
    assert not rest.any()
    assert len({each["id"] for each in content["annotations"]}) == len(masks)


@given(LABELS)
def test_every_label_image_comes_back(tmp_path_factory, labels):
    path = written(tmp_path_factory.mktemp("coco"), labels)
    annotations = json.loads(path.read_text())["annotations"]
    size = labels.shape[-2:]
    check(path, labels, {each["id"]: decode(each["segmentation"], size) for each in annotations})


@given(LABELS)
def test_pycocotools_reads_every_label_image(tmp_path_factory, labels):
    path = written(tmp_path_factory.mktemp("coco"), labels)
    check(path, labels, decode_by_pycocotools(path))


def test_holes_are_run_lengths_and_parts_polygons(tmp_path):
    annotations = json.loads(written(tmp_path, cases.cell_with_hole()).read_text())["annotations"]
    assert isinstance(annotations[0]["segmentation"]["counts"], list)
    labels = np.uint8([[1, 0, 1]])
    (parts,) = json.loads(written(tmp_path, labels).read_text())["annotations"]
    assert parts["segmentation"] == [[0, 0, 1, 0, 1, 1, 0, 1], [2, 0, 3, 0, 3, 1, 2, 1]]


def test_categories_are_the_classes(tmp_path):
    labels = np.uint8([[0, 5, 9]])
    content = json.loads(written(tmp_path, labels, classes={0: "back", 9: "nine"}).read_text())
    names = {each["id"]: each["name"] for each in content["categories"]}
    found = {each["label"]: names[each["category_id"]] for each in content["annotations"]}
    assert found == {5: "object", 9: "nine"}
    assert content["images"] == [{"id": 1, "file_name": "a.png", "width": 3, "height": 1}]
    nothing = json.loads(written(tmp_path, np.zeros((2, 3), int)).read_text())
    assert (len(nothing["images"]), len(nothing["categories"]), nothing["annotations"]) == (
        1,
        1,
        [],
    )


def test_planes_of_a_stack_are_images(tmp_path):
    labels = np.arange(24).reshape(2, 3, 2, 2)
    write_rois(tmp_path / "a.coco.json", labels, axes="TZYX", image="a.tif")
    content = json.loads((tmp_path / "a.coco.json").read_text())
    places = {each["id"]: (each["t"], each["z"]) for each in content["images"]}
    assert len(places) == 6
    for each in content["annotations"]:
        assert each["label"] in labels[places[each["image_id"]]]


def test_files_of_several_images_become_one(tmp_path):
    kinds = {1: "cell", 2: "nucleus"}
    first, second = np.uint8([[0, 2, 2]]), np.uint8([[[1, 0], [2, 1]], [[0, 1], [1, 1]]])
    written(tmp_path, first, classes=kinds).rename(tmp_path / "first.coco.json")
    written(tmp_path, np.zeros((4, 5), int)).rename(tmp_path / "empty.coco.json")
    written(tmp_path, second, classes=kinds).rename(tmp_path / "second.coco.json")
    files = [tmp_path / f"{name}.coco.json" for name in ("first", "empty", "second")]
    (tmp_path / "all.json").write_bytes(join_coco(files))

    coco = pytest.importorskip("pycocotools.coco").COCO(tmp_path / "all.json")
    planes = [first, np.zeros((4, 5), int), *second]
    assert [each["id"] for each in coco.loadImgs(coco.getImgIds())] == [1, 2, 3, 4]
    assert coco.getAnnIds() == list(range(1, 5))
    assert sorted(each["name"] for each in coco.loadCats(coco.getCatIds())) == ["cell", "nucleus"]
    for name, value in (("cell", 1), ("nucleus", 2)):
        for number, plane in enumerate(planes, start=1):
            chosen = coco.loadAnns(coco.getAnnIds(number, coco.getCatIds(name)))
            masks = [coco.annToMask(each).astype(bool) for each in chosen]
            np.testing.assert_array_equal(sum(masks, np.zeros(plane.shape, int)), plane == value)


@pytest.mark.parametrize("damaged", [b"", b"{}", b"[]", b'{"categories": [{}]}'])
def test_a_damaged_file_is_named(tmp_path, damaged):
    path = tmp_path / "a.coco.json"
    path.write_bytes(damaged)
    with pytest.raises(FileError, match=r"a\.coco\.json cannot be read as COCO .* delete it"):
        join_coco([path])
    with pytest.raises(FileError, match="cannot be read"):
        join_coco([tmp_path / "missing.coco.json"])
