import numpy as np
import pytest

from brightness import make_bundle, make_image
from ulens.bundle import save_bundle
from ulens.errors import ShapeError
from ulens.image import Image
from ulens.predict.model import Model, segment_image

EXPECTED = np.where(make_image(30, 40) > 100, 255, 0)


def test_class_values_take_the_smallest_unsigned_type():
    bundle = make_bundle(class_values=(1, 1000))
    labels = segment_image(bundle, make_image(30, 40))
    assert labels.dtype == np.uint16
    assert set(np.unique(labels)) == {1, 1000}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_arrays_of_all_layouts(dtype):
    one, three = make_bundle(), make_bundle(in_channels=3)
    grey = make_image(30, 40, dtype=dtype)
    color = np.stack([grey, grey * 0, grey * 0])
    rgba = np.dstack([*color, np.full_like(grey, 255)])
    layouts = [
        (one, grey),
        (one, grey[None]),
        (one, grey[..., None]),
        (one, np.dstack([grey] * 3)),
        (one, np.stack([grey] * 3)),
        (one, Image(data=grey, axes="YX")),
        (three, color),
        (three, np.moveaxis(color, 0, 2)),
        (three, rgba),
        (three, Image(data=color, axes="CYX")),
    ]
    for bundle, image in layouts:
        np.testing.assert_array_equal(segment_image(bundle, image), EXPECTED)


def test_model_face(tmp_path):
    model = tmp_path / "cells.model"
    save_bundle(make_bundle(), model)
    loaded = Model.load(model, device="cpu")
    image = make_image(30, 40)
    np.testing.assert_array_equal(loaded.segment(image), EXPECTED)
    np.testing.assert_array_equal(loaded.segment(image, average=8), EXPECTED)
    assert loaded.predict(image).shape == (2, 30, 40)
    stack = Image(data=make_image(2, 3, 30, 40), axes="TZYX")
    assert loaded.predict(stack).shape == (2, 2, 3, 30, 40)
    loaded.save(tmp_path / "copy")
    np.testing.assert_array_equal(Model.load(str(tmp_path / "copy")).segment(image), EXPECTED)


@pytest.mark.parametrize("labels_are", ["classes", "instances"])
def test_an_image_of_another_pixel_size_is_resampled(labels_are):
    decoding = {"threshold": 0.5, "min_area_px": 10} if labels_are == "instances" else {}
    bundle = make_bundle(labels_are=labels_are, decoding=decoding, spacing_um=(0.5, 0.5))
    data = np.full((2, 60, 80), 10, np.uint8)
    data[:, 10:50, 20:60] = 200  # large, so that the image's mean lies above the blur at the rim
    expected = np.where(data > 100, 255 if labels_are == "classes" else 1, 0)
    data[:, 4, 4] = 200  # too small to be seen at the pixel size of the training images
    fine = Image(data=data, axes="ZYX", spacing_um=(0.25, 0.25))
    model = Model(bundle, device="cpu")
    labels = model.segment(fine)
    assert labels.shape == (2, 60, 80)
    assert not labels[:, :8].any()
    assert (labels != expected).sum() <= 2 * 4  # corners are rounded
    maps = model.predict(fine)
    assert maps.shape == (2, 2, 60, 80)
    as_it_is = model.predict(Image(data=data, axes="ZYX"))
    assert abs(maps - as_it_is).max() > 0.1  # at the edges, which the network saw coarser


def test_arrays_of_wrong_shape():
    bundle = make_bundle()
    with pytest.raises(ShapeError, match=r"image has shape \(2, 2, 30, 40\); need \(Y, X\), .*"):
        segment_image(bundle, make_image(2, 2, 30, 40))
    with pytest.raises(ShapeError, match="image has 2 channels; the model was trained on 1"):
        segment_image(bundle, make_image(2, 30, 40))
