import csv
import errno
import hashlib
import json
import os

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr

import ulens
from brightness import events_of, make_bundle, make_image, notes_of
from ulens.bundle import save_bundle
from ulens.errors import DataError, FileError, ModelError, OutputError, SettingError
from ulens.image import Image, Steps
from ulens.io.files import read_image, write_tiff
from ulens.io.lock import LOCK, hold
from ulens.io.rois import read_rois
from ulens.jobs.segment import segment
from ulens.jobs.segment_record import RECORD

EXPECTED = np.where(make_image(30, 40) > 100, 255, 0)


@pytest.fixture
def model(tmp_path):
    save_bundle(make_bundle(), tmp_path / "cells.model")
    return tmp_path / "cells.model"


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    imageio.imwrite(folder / "one.png", make_image(30, 40))
    write_tiff(
        folder / "two.tif", Image(data=make_image(30, 40), axes="YX", spacing_um=(0.5, 0.25))
    )
    return folder


def names_in(folder):
    """What a user sees there."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_every_image_gets_labels_of_its_name_and_pixel_size(model, images, tmp_path):
    events = list(events_of(model, images, tmp_path / "out"))
    assert names_in(tmp_path / "out") == ["one.tif", "two.tif"]
    for name in ("one.tif", "two.tif"):
        labels = read_image(tmp_path / "out" / name)
        assert labels.data.dtype == np.uint8
        np.testing.assert_array_equal(labels.data, EXPECTED)
    assert labels.spacing_um == pytest.approx((0.5, 0.25))
    assert [event.written for event in events if event.written] == [
        (tmp_path / "out" / "one.tif",),
        (tmp_path / "out" / "two.tif",),
    ]


@pytest.mark.parametrize("values", [(0, 255), (2, 5, 9)])
@pytest.mark.parametrize("name", ["out", "out.tif", "out.zarr"])
def test_labels_tell_what_made_them(tmp_path, values, name):
    bundle = make_bundle(class_values=values)
    save_bundle(bundle, tmp_path / "cells.model")
    stack = make_image(2, 30, 40)
    image = Image(data=stack, axes="ZYX", spacing_um=(0.5, 0.25), steps=Steps(z_um=2.0))
    write_tiff(tmp_path / "stack.tif", image)
    out = tmp_path / name
    list(events_of(tmp_path / "cells.model", tmp_path / "stack.tif", out))
    weights = (tmp_path / "cells.model" / "weights.safetensors").read_bytes()
    names = ["foreground"] if len(values) == 2 else ["class 5", "class 9"]
    classes = dict(zip(map(str, values), ["background", *names], strict=True))
    expected = {
        "ulens": ulens.__version__,
        "model": "cells.model",
        "weights": hashlib.sha256(weights).hexdigest()[:12],
        **{f"class {value}": each for value, each in classes.items()},
    }
    if name == "out.zarr":
        yaozarrs.validate_zarr_store(out)
        attributes = zarr.open_group(out, mode="r").attrs.asdict()
        named = attributes["ome"]["image-label"]["properties"]
        assert {str(each["label-value"]): each["class"] for each in named} == classes
        scale = attributes["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
        assert scale == [{"type": "scale", "scale": [2.0, 0.5, 0.25]}]
        units = [axis["unit"] for axis in attributes["ome"]["multiscales"][0]["axes"]]
        assert units == ["micrometer"] * 3
        assert expected.items() <= attributes["ulens"].items()
        return
    with tifffile.TiffFile(out if out.is_file() else out / "stack.tif") as tif:
        assert tif.series[0].axes == "ZYX"
        tags = tif.pages.first.tags
        assert tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER
        assert tags["XResolution"].value == (40_000, 1)
        assert tags["YResolution"].value == (20_000, 1)
        content = tifffile.xml2dict(tif.ome_metadata)["OME"]
    pixels = content["Image"]["Pixels"]
    assert [pixels[f"PhysicalSize{axis}"] for axis in "ZYX"] == [2.0, 0.5, 0.25]
    assert {pixels[f"PhysicalSize{axis}Unit"] for axis in "ZYX"} == {"µm"}
    entries = content["StructuredAnnotations"]["MapAnnotation"]["Value"]["M"]
    assert {each["K"]: str(each["value"]) for each in entries} == expected


def test_progress_counts_images_and_tiles(model, tmp_path):
    stack = Image(data=make_image(3, 900, 40), axes="ZYX")
    write_tiff(tmp_path / "stack.tif", stack)
    events = list(events_of(model, tmp_path / "stack.tif", tmp_path / "out"))
    assert [event.tile for event in events if not event.note] == [1, 2, 3, 4, 5, 6, 6]
    assert {event.num_tiles for event in events} == {6}
    assert {(event.number, event.num_images) for event in events} == {(1, 1)}


@pytest.mark.parametrize("axes", ["ZYX", "TYX", "TZYX", "TCYX", "CYX", "TCZYX"])
def test_stacks_keep_their_axes_without_channels(tmp_path, axes):
    sizes = dict(zip("TCZYX", (2, 3, 4, 12, 14), strict=True))
    num_channels = 3 if "C" in axes else 1
    save_bundle(make_bundle(in_channels=num_channels), tmp_path / "m")
    data = make_image(*(sizes[axis] for axis in axes))
    data[(0,) * (len(axes) - 2)] = 10  # the first plane is empty (of the first channel)
    write_tiff(tmp_path / "in.tif", Image(data=data, axes=axes, spacing_um=(2, 2)))
    list(events_of(tmp_path / "m", tmp_path / "in.tif", tmp_path / "out", probabilities=True))

    labels = read_image(tmp_path / "out" / "in.tif")
    first_channel = data.take(0, axis=axes.index("C")) if "C" in axes else data
    assert labels.axes == axes.replace("C", "")
    np.testing.assert_array_equal(labels.data, np.where(first_channel > 100, 255, 0))
    probabilities = read_image(tmp_path / "out" / "in_probabilities.tif")
    assert probabilities.axes == "".join(axis for axis in "TCZYX" if axis in {*axes, "C"})
    assert probabilities.data.dtype == np.float32
    class_axis = probabilities.axes.index("C")
    np.testing.assert_allclose(probabilities.data.sum(class_axis), 1, atol=1e-5)
    np.testing.assert_array_equal(probabilities.data.argmax(class_axis) * 255, labels.data)


def test_instances_are_numbered(tmp_path):
    decoding = {"threshold": 0.5, "min_area_px": 10}
    save_bundle(make_bundle(labels_are="instances", decoding=decoding), tmp_path / "m")
    image = make_image(30, 40)
    image[15:25, 20:30] = 200
    image[28, 38] = 200  # smaller than min_area_px
    imageio.imwrite(tmp_path / "cells.png", image)
    list(events_of(tmp_path / "m", tmp_path / "cells.png", tmp_path / "out"))
    labels = read_image(tmp_path / "out" / "cells.tif").data
    assert labels.dtype == np.uint16
    expected = np.zeros((30, 40))
    expected[3:9, 3:9], expected[15:25, 20:30] = 1, 2
    np.testing.assert_array_equal(labels, expected)


def test_other_pixel_sizes_are_told_once_and_labels_keep_the_size_of_their_image(tmp_path):
    save_bundle(make_bundle(spacing_um=(0.5, 0.5)), tmp_path / "m")
    (tmp_path / "images").mkdir()
    for name, spacing_um in (("a", 0.25), ("b", 0.25), ("c", 1.0), ("d", 0.5)):
        image = Image(data=make_image(30, 40), axes="YX", spacing_um=(spacing_um, spacing_um))
        write_tiff(tmp_path / "images" / f"{name}.tif", image)
    imageio.imwrite(tmp_path / "images" / "e.png", make_image(30, 40))
    events = list(events_of(tmp_path / "m", tmp_path / "images", tmp_path / "out"))
    told = [(event.image.name, event.note) for event in events if event.note in notes_of(events)]
    learned = "to the 0.5 µm at which the model learned"
    assert told == [
        ("a.tif", f"images with 0.25 µm per pixel are resampled by 0.5, {learned}"),
        ("c.tif", f"images with 1 µm per pixel are resampled by 2, {learned}"),
    ]
    assert [event.num_tiles for event in events if event.written] == [1] * 5
    for path in sorted((tmp_path / "out").glob("*.tif")):
        labels = read_image(path)
        assert labels.data.shape == (30, 40)
        assert set(np.unique(labels.data)) == {0, 255}
    assert read_image(tmp_path / "out" / "a.tif").spacing_um == pytest.approx((0.25, 0.25))


def test_a_pixel_size_that_must_be_wrong_is_named_and_other_images_are_segmented(tmp_path):
    save_bundle(make_bundle(spacing_um=(0.5, 0.5)), tmp_path / "m")
    (tmp_path / "images").mkdir()
    for name, spacing_um in (("good", 0.5), ("wrong", 50.0)):
        image = Image(data=make_image(30, 40), axes="YX", spacing_um=(spacing_um, spacing_um))
        write_tiff(tmp_path / "images" / f"{name}.tif", image)
    message = r"1 of 2 images could not be segmented, 1 were:\n- .*wrong\.tif has 50 µm per pixel"
    with pytest.raises(DataError, match=message):
        segment(tmp_path / "m", tmp_path / "images", tmp_path / "out")
    assert names_in(tmp_path / "out") == ["good.tif"]


def test_grey_images_saved_as_color_are_accepted(model, tmp_path):
    imageio.imwrite(tmp_path / "grey.png", np.dstack([make_image(30, 40)] * 3))
    list(events_of(model, tmp_path / "grey.png", tmp_path / "out"))
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "grey.tif").data, EXPECTED)


def test_bad_images_are_named_and_all_others_segmented(model, images, tmp_path):
    (images / "broken.png").write_bytes(b"no image")
    photo = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    imageio.imwrite(images / "photo.png", photo)
    events = []
    with pytest.raises(DataError) as raised:
        events.extend(events_of(model, images, tmp_path / "out"))
    message = str(raised.value)
    assert message.startswith("2 of 4 images could not be segmented, 2 were:\n- ")
    assert "broken.png cannot be read" in message
    assert "- photo.png has 3 channels; the model was trained on 1; give" in message
    assert names_in(tmp_path / "out") == ["one.tif", "two.tif"]


def test_failed_images_are_reported_as_they_fail(model, images, tmp_path):
    (images / "broken.png").write_bytes(b"no image")
    work = events_of(model, images, tmp_path / "out")
    first = next(work)
    assert first.image.name == "broken.png"
    assert "cannot be read" in first.error


def test_output_folder_with_content_is_refused_and_kept(model, images, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one.tif").write_text("precious")
    with pytest.raises(OutputError, match=r"output folder .* holds one\.tif; choose another"):
        events_of(model, images, tmp_path / "out")
    assert (tmp_path / "out" / "one.tif").read_text() == "precious"


def test_overwrite_replaces_own_files_and_keeps_others(model, images, tmp_path):
    out = tmp_path / "out"
    list(events_of(model, images, out))
    list(events_of(model, images / "two.tif", out, overwrite=True))
    (out / "one.tif").write_text("old")
    (out / "notes.txt").write_text("precious")
    list(events_of(model, images, out, overwrite=True))
    np.testing.assert_array_equal(read_image(out / "one.tif").data, EXPECTED)
    assert (out / "notes.txt").read_text() == "precious"


@pytest.mark.parametrize("kind", ["labels by hand", "a link", "a folder", "outlines"])
def test_overwrite_replaces_nothing_that_ulens_did_not_make(model, images, tmp_path, kind):
    out, name, options = tmp_path / "out", "one.tif", {}
    if kind == "outlines":
        name, options = "one.zip", {"rois": "imagej"}
        list(events_of(model, images, out))
    out.mkdir(exist_ok=True)
    if kind == "a link":
        (out / name).symlink_to(images / "two.tif")
    elif kind == "a folder":
        (out / name).mkdir()
    else:
        (out / name).write_text("precious")
    before = sorted(path.name for path in out.iterdir())
    with pytest.raises(OutputError, match=rf"holds {name}, which .* did not write: .* move what"):
        events_of(model, images, out, overwrite=True, **options)
    assert sorted(path.name for path in out.iterdir()) == before


def test_a_folder_in_use_and_a_model_are_no_output(model, images, tmp_path):
    out = tmp_path / "out"
    with hold(out):
        for overwrite in (False, True):
            with pytest.raises(OutputError, match="in use by process"):
                events_of(model, images, out, overwrite=overwrite)
    waiting = events_of(model, images, out)
    with hold(out), pytest.raises(OutputError, match="in use by process"):
        next(waiting)
    with pytest.raises(OutputError, match=r"cells\.model is a model; choose another"):
        events_of(model, images, model, overwrite=True)


def test_a_run_that_was_killed_is_told_and_gone_on_with(model, images, tmp_path):
    out = tmp_path / "out"
    list(events_of(model, images, out))
    with hold(out):
        left = (out / LOCK).read_bytes()
    (out / LOCK).write_bytes(left)
    first, *rest = events_of(model, images, out)
    assert first.note.startswith(f"took over {out} from process")
    assert all(event.is_kept for event in rest if event.written)
    assert not (out / LOCK).exists()


def test_an_image_that_changes_while_it_is_segmented_is_made_anew(model, images, tmp_path):
    run = events_of(model, images, tmp_path / "out")
    next(event for event in run if event.image.name == "one.png")
    imageio.imwrite(images / "one.png", np.zeros((30, 41), np.uint8))
    list(run)
    events = list(events_of(model, images, tmp_path / "out"))
    assert [event.image.name for event in events if event.is_kept] == ["two.tif"]


@pytest.mark.parametrize("length", [250, 251])
def test_names_as_long_as_the_system_takes_them(model, tmp_path, length):
    (tmp_path / "images").mkdir()
    name = "µ" * (length // 2) + "a" * (length % 2)
    imageio.imwrite(tmp_path / "images" / f"{name}.png", make_image(30, 40))
    (written,) = segment(model, tmp_path / "images", tmp_path / "out")
    assert written == tmp_path / "out" / f"{name}.tif"
    assert written.is_file()
    with pytest.raises(OutputError, match=r"a name of more than the 255 bytes .* a shorter name"):
        segment(model, tmp_path / "images", tmp_path / "out2", probabilities=True)
    assert not (tmp_path / "out2").exists()


def test_the_folder_of_the_images_is_no_output(model, images):
    before = (images / "two.tif").read_bytes()
    with pytest.raises(OutputError, match="is the folder of the images; choose another"):
        events_of(model, images, images / ".." / "images", overwrite=True)
    assert (images / "two.tif").read_bytes() == before


def test_a_file_is_no_output_folder(model, images, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="is a file, a folder is needed; choose another"):
        events_of(model, images, tmp_path / "out")


@pytest.mark.parametrize("twin", ["one.tif", "One.tif"])
def test_two_images_for_one_output_are_named(model, images, tmp_path, twin):
    write_tiff(images / twin, Image(data=make_image(30, 40), axes="YX"))
    with pytest.raises(OutputError, match=r"(?i)one\.\w+ and one\.\w+ would both be written to"):
        events_of(model, images, tmp_path / "out")


def test_probabilities_may_not_take_another_images_name(model, images, tmp_path):
    imageio.imwrite(images / "one_probabilities.png", make_image(30, 40))
    with pytest.raises(OutputError, match=r"one\.png and one_probabilities\.png would both"):
        events_of(model, images, tmp_path / "out", probabilities=True)


def test_full_disk_stops_the_job(model, images, tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left"):
        list(events_of(model, images, tmp_path / "out"))


def test_output_folder_that_cannot_be_made(model, images, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        OutputError, match=r"folder .* cannot be made or written \(.*\); choose another"
    ):
        list(events_of(model, images, tmp_path / "file" / "out"))


def test_wrong_inputs_are_found_before_any_work(model, images, tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        events_of(model, tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(ModelError, match="does not exist"):
        events_of(tmp_path / "nothing", images, tmp_path / "out")
    with pytest.raises(SettingError, match="average is 3"):
        events_of(model, images, tmp_path / "out", average=3)
    assert not (tmp_path / "out").exists()


def test_segment_from_python_writes_and_names_the_files(model, images, tmp_path):
    written = segment(str(model), str(images), str(tmp_path / "out"))
    assert sorted(path.name for path in written) == names_in(tmp_path / "out")
    assert written


def test_a_grey_image_goes_through_a_color_model(tmp_path):
    save_bundle(make_bundle(in_channels=3), tmp_path / "m")
    imageio.imwrite(tmp_path / "grey.png", make_image(1, 20, 30)[0])
    run = events_of(tmp_path / "m", tmp_path / "grey.png", tmp_path / "out")
    assert list(run)[-1].error is None


def test_a_second_run_goes_on_where_the_first_was_cut_off(model, images, tmp_path):
    run = events_of(model, images, tmp_path / "out")
    assert next(event for event in run if event.written).image.name == "one.png"
    run.close()  # as Ctrl-C does
    before = (tmp_path / "out" / "one.tif").stat().st_mtime_ns
    events = [event for event in events_of(model, images, tmp_path / "out") if event.written]
    assert [(event.image.name, event.is_kept) for event in events] == [
        ("one.png", True),
        ("two.tif", False),
    ]
    assert (tmp_path / "out" / "one.tif").stat().st_mtime_ns == before
    assert [event.found.foreground for event in events] == [36 / 1200] * 2


def test_what_is_gone_or_of_a_changed_image_is_made_anew(model, images, tmp_path):
    list(events_of(model, images, tmp_path / "out"))
    (tmp_path / "out" / "two.tif").unlink()
    imageio.imwrite(images / "one.png", np.zeros((30, 41), np.uint8))
    imageio.imwrite(images / "three.png", make_image(30, 40))
    (images / "broken.png").write_bytes(b"no image")
    for kept in ([], ["one.png", "three.png", "two.tif"]):
        events = []
        with pytest.raises(DataError, match=r"1 of 4 images could not be segmented"):
            events.extend(each for each in collect(model, images, tmp_path / "out", events))
        assert [event.image.name for event in events if event.is_kept] == kept
    assert read_image(tmp_path / "out" / "one.tif").data.shape == (30, 41)


def collect(model, images, out, events):
    for event in events_of(model, images, out):
        events.append(event)
    return []


@pytest.mark.parametrize("options", [{"zoom": 2.0}, {"average": 8}, {"rois": "imagej"}])
def test_other_options_do_not_go_on_with_a_run(model, images, tmp_path, options):
    list(events_of(model, images, tmp_path / "out"))
    message = rf"holds segmentations made otherwise \(other: {next(iter(options))}\); choose anoth"
    with pytest.raises(OutputError, match=message):
        events_of(model, images, tmp_path / "out", **options)
    again = list(events_of(model, images, tmp_path / "out", overwrite=True, **options))
    assert not any(event.is_kept for event in again)


def test_another_model_does_not_go_on_with_a_run(model, images, tmp_path):
    list(events_of(model, images, tmp_path / "out"))
    save_bundle(make_bundle(spacing_um=(1, 1)), tmp_path / "other.model")
    with pytest.raises(OutputError, match=r"made otherwise \(other: model\)"):
        events_of(tmp_path / "other.model", images, tmp_path / "out")


def test_a_run_that_goes_on_replaces_nothing_that_it_did_not_write(model, images, tmp_path):
    list(events_of(model, images, tmp_path / "out"))
    imageio.imwrite(images / "three.png", make_image(30, 40))
    (tmp_path / "out" / "three.tif").write_text("precious")
    with pytest.raises(
        OutputError, match=r"holds three\.tif, which this run would replace and did"
    ):
        events_of(model, images, tmp_path / "out")
    assert (tmp_path / "out" / "three.tif").read_text() == "precious"


def test_a_record_that_a_crash_cut_off_is_read_up_to_there(model, images, tmp_path):
    list(events_of(model, images, tmp_path / "out"))
    record = tmp_path / "out" / RECORD
    record.write_bytes(record.read_bytes()[:-9])  # in the last line, of two.tif
    imageio.imwrite(images / "three.png", make_image(30, 40))
    events = list(events_of(model, images, tmp_path / "out"))
    assert [event.image.name for event in events if event.is_kept] == ["one.png"]
    again = list(events_of(model, images, tmp_path / "out"))
    kept = [event.image.name for event in again if event.is_kept]
    assert kept == ["one.png", "three.png", "two.tif"]


def test_a_model_in_the_place_of_the_images_is_recognized(model, images, tmp_path):
    message = rf"model comes first, as in: ulens segment {model} {images}.one\.png -o .*out"
    with pytest.raises(SettingError, match=message):
        events_of(images / "one.png", model, tmp_path / "out")


@pytest.mark.parametrize("name", ["mask.png", "mask.JPG", "objects.csv"])
def test_the_name_of_a_picture_is_no_folder(model, images, tmp_path, name):
    with pytest.raises(
        SettingError, match=r"looks like a file, .* give a folder, such as masks, or"
    ):
        events_of(model, images, tmp_path / name)
    (tmp_path / name).mkdir()
    list(events_of(model, images, tmp_path / name))
    assert names_in(tmp_path / name) == ["one.tif", "two.tif"]


@pytest.fixture
def instance_model(tmp_path):
    decoding = {"threshold": 0.5, "min_area_px": 10}
    save_bundle(make_bundle(labels_are="instances", decoding=decoding), tmp_path / "cells.model")
    return tmp_path / "cells.model"


@pytest.mark.parametrize(("rois", "ending"), [("imagej", ".zip"), ("geojson", ".geojson")])
def test_outlines_beside_the_label_images(instance_model, images, tmp_path, rois, ending):
    stack = make_image(2, 30, 40)
    stack[1, 15:25, 20:30] = 200
    write_tiff(images / "stack.tif", Image(data=stack, axes="TYX"))
    written = segment(instance_model, images, tmp_path / "out", rois=rois)
    assert sorted(path.name for path in written) == names_in(tmp_path / "out")
    for name, axes in (("one", "YX"), ("two", "YX"), ("stack", "TYX")):
        labels = read_image(tmp_path / "out" / f"{name}.tif").data
        outlined = read_rois(tmp_path / "out" / f"{name}{ending}", labels.shape, axes=axes)
        np.testing.assert_array_equal(outlined, labels)
        assert labels.any()


def test_outlines_of_classes_tell_their_names(model, images, tmp_path):
    for rois, ending in (("geojson", ".geojson"), ("coco", ".coco.json")):
        segment(model, images, tmp_path / rois, rois=rois)
        content = json.loads((tmp_path / rois / f"one{ending}").read_text())
        if rois == "coco":
            assert [each["name"] for each in content["categories"]] == ["foreground"]
            assert [each["file_name"] for each in content["images"]] == ["one.png"]
            assert [each["label"] for each in content["annotations"]] == [255]
        else:
            properties = [each["properties"] for each in content["features"]]
            assert [each["classification"]["name"] for each in properties] == ["foreground"]
            assert [each["name"] for each in properties] == ["255"]


def test_one_table_for_the_objects_of_all_images(instance_model, images, tmp_path):
    stack = make_image(2, 30, 40)
    stack[1, 15:25, 20:30] = 210
    write_tiff(images / "µ, stack.tif", Image(data=stack, axes="ZYX", spacing_um=(0.5, 0.25)))
    imageio.imwrite(images / "rgb.png", np.dstack([make_image(30, 40)] * 3))
    table = tmp_path / "out" / "objects.csv"
    segment(instance_model, images, tmp_path / "out", table=table)
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["plane"], row["label"]) for row in rows] == [
        ("one.png", "", "1"),
        ("rgb.png", "", "1"),
        ("two.tif", "", "1"),
        ("µ, stack.tif", "z000", "1"),
        ("µ, stack.tif", "z001", "1"),
        ("µ, stack.tif", "z001", "2"),
    ]
    assert rows[0]["area_px"] == "36"
    assert rows[0]["area_um2"] == rows[0]["centroid_x_um"] == rows[0]["mean_intensity_c2"] == ""
    assert rows[1]["mean_intensity_c2"] == "200.0"
    assert (rows[5]["area_um2"], rows[5]["centroid_y_um"]) == ("12.5", "9.75")
    assert rows[5]["max_intensity_c0"] == "210.0"


def test_the_table_of_the_good_images_is_written_though_others_fail(
    instance_model, images, tmp_path
):
    (images / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="1 of 3 images could not be segmented"):
        segment(instance_model, images, tmp_path / "out", table=tmp_path / "objects.csv")
    table = (tmp_path / "objects.csv").read_text()
    assert len(table.splitlines()) == 1 + 2
    with pytest.raises(DataError, match="1 of 3 images could not be segmented"):
        segment(instance_model, images, tmp_path / "out", table=tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == table  # of the label images that were kept


def test_a_table_of_classes_is_refused(model, images, tmp_path):
    message = r"objects\.csv cannot be made: .*cells\.model finds classes, no single objects; leave"
    with pytest.raises(SettingError, match=message):
        events_of(model, images, tmp_path / "out", table=tmp_path / "objects.csv")
    assert not (tmp_path / "out").exists()


def test_a_table_that_exists_needs_overwrite(instance_model, images, tmp_path):
    table = tmp_path / "objects.csv"
    table.write_text("precious")
    with pytest.raises(OutputError, match=r"table .*objects\.csv exists; choose another name, or"):
        events_of(instance_model, images, tmp_path / "out", table=table)
    assert table.read_text() == "precious"
    segment(instance_model, images, tmp_path / "out", table=table, overwrite=True)
    assert table.read_text().startswith("image,plane,label,area_px,area_um2,centroid_y_px,")
