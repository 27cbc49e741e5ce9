from dataclasses import replace

import numpy as np
import pytest

from brightness import make_bundle
from ulens.bundle import save_bundle
from ulens.errors import DataError, FileError, SettingError
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.jobs.segmenting import SegmentProgress
from ulens.jobs.suggest import (
    Suggested,
    SuggestSettings,
    box_size,
    run_suggestions,
    suggest_boxes,
)


def with_doubts(*corners, size=(48, 64), side=8):
    """Half dark, half bright, and a square of the mean grey at each corner (y, x)."""
    image = np.full(size, 0, np.uint8)
    image[:, size[1] // 2 :] = 200
    for y, x in corners:
        image[y : y + side, x : x + side] = 100
    return image


@pytest.fixture
def model(tmp_path):
    """It is least certain where a pixel is as bright as the mean."""
    save_bundle(make_bundle(), tmp_path / "m")
    return tmp_path / "m"


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name, data in {
        "a": with_doubts((8, 8), (8, 40)),
        "b": with_doubts((16, 16), (16, 48)),
        "certain": with_doubts(),
    }.items():
        write_tiff(folder / f"{name}.tif", Image(data=data, axes="YX"))
    return folder


def places(found):
    return {(each.image.stem, each.plane, each.box[0].start, each.box[1].start) for each in found}


@pytest.mark.parametrize("doubt", ["entropy", "disagreement"])
def test_boxes_lie_where_the_model_is_least_certain(model, images, doubt):
    found = suggest_boxes(model, images, number=4, size=8, doubt=doubt)
    assert len(found) == 4
    if doubt == "entropy":
        assert places(found) == {("a", "", 8, 8), ("a", "", 8, 40),
                                 ("b", "", 16, 16), ("b", "", 16, 48)}  # fmt: skip
        assert all(each.uncertainty > 0.9 for each in found)
    else:  # a network that sees single pixels agrees with itself from all sides
        assert all(each.uncertainty < 1e-5 for each in found)


def test_boxes_that_are_annotated_are_left_out(model, images):
    first = suggest_boxes(model, images, number=2, size=8)
    taken = {(each.image, each.plane): [each.box] for each in first}
    assert len(taken) == 2
    second = suggest_boxes(model, images, number=2, size=8, taken=taken)
    assert places(first) | places(second) == places(suggest_boxes(model, images, number=4, size=8))


def test_it_tells_how_far_it_is_and_each_plane_counts(model, tmp_path):
    stack = np.stack([with_doubts((8, 8)), with_doubts(), with_doubts((16, 48))])
    write_tiff(tmp_path / "stack.tif", Image(data=stack, axes="ZYX"))
    settings = SuggestSettings(model, (tmp_path / "stack.tif",), number=2, size=8)
    *progress, last = run_suggestions(settings)
    assert isinstance(last, Suggested)
    assert places(last.suggestions) == {("stack", "z000", 8, 8), ("stack", "z002", 16, 48)}
    shares = [each.share_done for each in progress if isinstance(each, SegmentProgress)]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_an_image_that_is_named_twice_is_looked_at_once(model, images):
    settings = SuggestSettings(model, (images / "a.tif", images), number=2, size=8)
    assert {event.num_images for event in run_suggestions(settings) if hasattr(event, "tile")} == {
        3
    }


def test_small_images_are_boxes_themselves_and_empty_ones_have_none(model, tmp_path):
    small, empty = tmp_path / "small.tif", tmp_path / "empty.tif"
    write_tiff(small, Image(data=with_doubts(size=(5, 9)), axes="YX"))
    write_tiff(empty, Image(data=np.full((40, 40), 7, np.uint8), axes="YX"))
    (only,) = suggest_boxes(model, [small, empty, small], number=5, size=20)
    assert (only.image, only.box) == (small, (slice(0, 5), slice(0, 9)))
    assert suggest_boxes(model, empty) == []


def test_a_broken_image_is_named_and_the_others_are_looked_at(model, images):
    (images / "c.tif").write_bytes(b"II*\0 cut off")
    events = []
    work = run_suggestions(SuggestSettings(model, (images,), number=2, size=8))
    with pytest.raises(DataError, match=r"1 of 4 images could not be looked at[\s\S]*c\.tif"):
        events.extend(work)
    assert len(events[-1].suggestions) == 2
    assert sum(bool(getattr(event, "error", None)) for event in events) == 1


def test_a_model_of_distances_is_judged_by_its_views(tmp_path, images):
    bundle = make_bundle(
        encoding="distance", decoding={"seed_threshold": 0.5, "cell_threshold": 0.1}
    )
    save_bundle(bundle, tmp_path / "d")
    found = suggest_boxes(tmp_path / "d", images, number=2, size=8)
    assert len(found) == 2
    assert all(each.uncertainty < 1e-5 for each in found)


@pytest.mark.parametrize(
    ("diameter", "factor", "shape", "size"),
    [
        (20, (1, 1), (400, 400), 60),
        (20, (0.5, 0.5), (400, 400), 120),  # pixels are half as large here
        (90, (1, 1), (400, 300), 200),
        (2, (1, 1), (400, 400), 16),
        (0, (1, 1), (400, 400), 128),
    ],
)
def test_a_box_holds_some_objects(diameter, factor, shape, size):
    bundle = replace(make_bundle(), plan={"fingerprint": {"diameter_px": diameter}})
    assert box_size(bundle, factor, shape) == size


@pytest.mark.parametrize("name", ["number", "size"])
def test_a_number_below_one_is_refused(name):
    with pytest.raises(SettingError, match=f"{name} is 0; need 1 or more"):
        SuggestSettings("m", (), **{name: 0})


def test_a_missing_folder_is_named(model, tmp_path):
    with pytest.raises(FileError, match="nowhere does not exist"):
        suggest_boxes(model, tmp_path / "nowhere")


def test_channels_in_files_of_their_own_are_one_image_for_a_model_of_several(tmp_path, images):
    save_bundle(make_bundle(in_channels=2), tmp_path / "m2")
    folder = tmp_path / "sets"
    folder.mkdir()
    for channel, name in enumerate(("a", "b")):
        (images / f"{name}.tif").rename(folder / f"a_ch0{channel}.tif")
    found = suggest_boxes(tmp_path / "m2", folder, number=5, size=16)
    assert {each.image.name for each in found} == {"a_ch00.tif"}
