import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr

from brightness import events_of, make_bundle, make_cells, notes_of, save_instances_model
from ulens.bundle import load_bundle, save_bundle
from ulens.errors import DataError, FileError, OutputError, SettingError, ShapeError
from ulens.image import Image
from ulens.io.files import read_image, write_tiff
from ulens.io.regions import is_zarr
from ulens.jobs import segment_large
from ulens.jobs.segmenting import SegmentSettings
from ulens.predict.engine_choice import EngineChoice
from ulens.predict.large import job as large_job
from ulens.predict.predictor import Predictor

SMALL = {"block_px": 32, "halo_px": 8, "device": "cpu"}
KILLED_RUN = """
import sys
from dataclasses import replace
from pathlib import Path
from ulens.jobs.segment import run_segmentation
from ulens.jobs.segmenting import SegmentSettings

model, image, out = map(Path, sys.argv[1:])
settings = SegmentSettings(model, image, out=out, block_px=32, halo_px=8, device="cpu")
for event in run_segmentation(settings):
    print(event.tile, flush=True)
    sys.stdin.readline()  # or a slow parent would kill too late
"""


@pytest.fixture
def model(tmp_path):
    return save_instances_model(tmp_path / "m")


@pytest.fixture
def stack(tmp_path):
    path = tmp_path / "stack.tif"
    write_tiff(path, Image(data=make_cells(2, 40, 60), axes="ZYX", spacing_um=(0.5, 0.25)))
    return path


def in_folder(model, image, out):
    """Return the labels that the whole images get."""
    list(events_of(model, image, out))
    return read_image(out / f"{image.stem}.tif")


def contents(path):
    """Return a hash of every file of an output."""
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())
    names = [file.relative_to(path.parent).parts[1:] for file in files]
    return names, [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


@pytest.mark.parametrize("name", ["out.zarr", "out.tif"])
def test_labels_are_those_of_the_folder(model, stack, tmp_path, name):
    whole = in_folder(model, stack, tmp_path / "whole")
    assert whole.data.max() > 3
    events = list(events_of(model, stack, tmp_path / name, **SMALL))
    if name == "out.zarr":
        yaozarrs.validate_zarr_store(tmp_path / name)
        labels = zarr.open_array(tmp_path / name / "0", mode="r")[:]
    else:
        image = read_image(tmp_path / name)
        assert (image.axes, image.spacing_um) == ("ZYX", (0.5, 0.25))
        labels = image.data
    assert labels.dtype == np.uint32
    np.testing.assert_array_equal(labels, whole.data)
    notes = notes_of(events)
    assert "2×40×60 pixels (ZYX) in 8 blocks; the network (" in notes[0]
    assert ") needs about" in notes[0]
    assert "memory at most 0." in notes[0]
    num_objects = sum(int(plane.max()) for plane in whole.data)
    assert notes[1].startswith(f"objects {num_objects}, as from the image in one piece")
    assert events[-1].written == (tmp_path / name,)
    assert events[-1].tile == events[-1].num_tiles > 0
    assert not (tmp_path / f"{name}.job").exists()


def test_classes_keep_their_values(tmp_path, stack):
    save_bundle(make_bundle(), tmp_path / "m")
    whole = in_folder(tmp_path / "m", stack, tmp_path / "whole")
    list(events_of(tmp_path / "m", stack, tmp_path / "out.tif", **SMALL))
    labels = read_image(tmp_path / "out.tif")
    assert labels.data.dtype == np.uint8
    np.testing.assert_array_equal(labels.data, whole.data)


def test_what_can_differ_is_told(tmp_path):
    image = np.zeros((40, 96), np.float32)  # a core, a long stretch that it grows over, background
    image[:, :10], image[:, 86:] = 1, -1
    write_tiff(tmp_path / "a.tif", Image(data=image, axes="YX"))
    decoding = {"threshold": 0.9, "reach_threshold": 0.1}
    bundle = make_bundle(labels_are="instances", decoding=decoding)
    save_bundle(bundle, tmp_path / "m")
    events = list(events_of(tmp_path / "m", tmp_path / "a.tif", tmp_path / "o.tif", **SMALL))
    notes = notes_of(events)
    assert "objects 1; about 1 of them grow over more than 8 px of a neighbour" in notes[-1]
    membrane = replace(
        bundle, encoding="membrane", class_values=(0, 255), decoding={"threshold": 0.5}
    )
    save_bundle(membrane, tmp_path / "n")
    events = list(events_of(tmp_path / "n", tmp_path / "a.tif", tmp_path / "p.tif", **SMALL))
    notes = notes_of(events)
    assert "gaps in membranes are closed block by block, with 8 px around each" in notes[1]
    assert set(np.unique(read_image(tmp_path / "p.tif").data)) == {0, 255}


def test_a_time_series_in_ome_zarr_with_axes_given(model, tmp_path):
    data = make_cells(2, 40, 50)
    write_tiff(tmp_path / "film.tif", Image(data=data, axes="TYX"))
    zarr.create_array(tmp_path / "film.zarr", data=data, chunks=(1, 16, 16))
    whole = in_folder(model, tmp_path / "film.tif", tmp_path / "whole")
    out = tmp_path / "out.zarr"
    list(events_of(model, tmp_path / "film.zarr", out, axes="TYX", **SMALL))
    np.testing.assert_array_equal(zarr.open_array(out / "0", mode="r")[:], whole.data)
    axes = zarr.open_group(out, mode="r").attrs["ome"]["multiscales"][0]["axes"]
    assert [axis["type"] for axis in axes] == ["time", "space", "space"]


def run_until(model, image, out, num_lines):
    """Run the job in a process of its own and kill it at work on what follows so many events."""
    command = [sys.executable, "-c", KILLED_RUN, *map(str, (model, image, out))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for _ in range(num_lines):
            assert process.stdout.readline()
            process.stdin.write(b"\n")
            process.stdin.flush()
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
def test_killed_and_started_again_the_result_is_byte_identical(model, stack, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    list(events_of(model, stack, tmp_path / "a" / "out.zarr", **SMALL))
    out = tmp_path / "b" / "out.zarr"
    for num_lines in (4, 22):  # among the first plane's tiles, then in the second plane
        run_until(model, stack, out, num_lines)
        assert not out.exists()
        assert (tmp_path / "b" / "out.zarr.job" / "job.json").is_file()
    list(events_of(model, stack, out, **SMALL))
    assert contents(out) == contents(tmp_path / "a" / "out.zarr")


@pytest.mark.parametrize("name", ["out.zarr", "out.tif"])
def test_cut_off_after_any_event_only_what_is_missing_is_done(
    model, stack, tmp_path, name, monkeypatch
):
    num_runs = 0
    run = Predictor._run

    def counted(self, window):
        nonlocal num_runs
        num_runs += 1
        return run(self, window)

    monkeypatch.setattr(Predictor, "_run", counted)
    monkeypatch.setattr("ulens.predict.large.in_words.measure_tile", lambda predictor, size: 0.0)
    (tmp_path / "a").mkdir()
    events = list(events_of(model, stack, tmp_path / "a" / name, **SMALL))
    num_needed, num_runs = num_runs, 0
    (tmp_path / "b").mkdir()
    out = tmp_path / "b" / name
    notes = []
    for num_events in range(2, len(events), 7):
        work = events_of(model, stack, out, **SMALL)
        for _ in range(num_events):
            if (event := next(work)).note:
                notes.append(event.note)
        work.close()
        assert not out.exists()
    list(events_of(model, stack, out, **SMALL))
    assert any("tiles are done" in note for note in notes)
    assert contents(out) == contents(tmp_path / "a" / name)
    # a block that is cut off is done again: at most one for each time
    tiles_per_block = num_needed / 8
    assert num_needed <= num_runs <= num_needed + tiles_per_block * (len(events) // 7 + 1)


def test_a_kill_while_the_output_gets_its_name(model, stack, tmp_path, monkeypatch):
    out = tmp_path / "out.tif"
    list(events_of(model, stack, tmp_path / "other.tif", **SMALL))

    def killed(*_):
        raise KeyboardInterrupt

    for where in ("predict.large.job.put_in_place", "predict.large.job.remove_own"):
        with monkeypatch.context() as patch:
            patch.setattr(f"ulens.{where}", killed)
            with pytest.raises(KeyboardInterrupt):
                list(events_of(model, stack, out, **SMALL))
    assert out.is_file()
    assert (tmp_path / "out.tif.job").is_dir()
    events = list(events_of(model, stack, out, **SMALL))
    assert events[-1].written == (out,)
    assert not (tmp_path / "out.tif.job").exists()
    assert contents(out)[1] == contents(tmp_path / "other.tif")[1]


def cut_off(model, image, out, **changes):
    work = events_of(model, image, out, **{**SMALL, **changes})
    for _ in range(4):
        next(work)
    work.close()


def test_another_job_is_not_gone_on_with(model, stack, tmp_path):
    out = tmp_path / "out.zarr"
    cut_off(model, stack, out)
    save_bundle(make_bundle(labels_are="instances", decoding={"threshold": 0.6}), tmp_path / "n")
    other = tmp_path / "other.tif"
    write_tiff(other, Image(data=make_cells(2, 40, 60, seed=1), axes="ZYX"))
    for arguments, options, message in (
        ((tmp_path / "n", stack), {}, "unfinished job with another model; go on with"),
        ((model, other), {}, "another image"),
        ((model, stack), {"axes": "TYX"}, "another image"),
        ((model, stack), {"average": 8}, r"another average \(it was 1, is 8\)"),
    ):
        with pytest.raises(OutputError, match=message):
            list(events_of(*arguments, out, **SMALL, **options))
    # what the machine or the memory would choose anew stays as it was
    list(events_of(model, stack, out, device="cpu"))
    whole = in_folder(model, stack, tmp_path / "whole")
    np.testing.assert_array_equal(zarr.open_array(out / "0", mode="r")[:], whole.data)


def test_a_damaged_or_foreign_job_is_told(model, stack, tmp_path):
    out, job = tmp_path / "out.zarr", tmp_path / "out.zarr.job" / "job.json"
    cut_off(model, stack, out)
    found = json.loads(job.read_bytes())
    for text, message in (
        ("{", "job.json is damaged"),
        (json.dumps(found | {"version": 1}), "has version 1, this ulens knows 5"),
        (json.dumps(found | {"halo_px": None}), "job.json is damaged"),
    ):
        job.write_text(text)
        with pytest.raises(OutputError, match=message):
            list(events_of(model, stack, out, **SMALL))
    job.unlink()
    with pytest.raises(OutputError, match="holds no job of ulens"):
        list(events_of(model, stack, out, **SMALL))


def test_what_a_kill_leaves_of_the_first_file_is_no_hindrance(model, stack, tmp_path):
    out = tmp_path / "out.zarr"
    (tmp_path / "out.zarr.job").mkdir()
    (tmp_path / "out.zarr.job" / "job.json.new").write_text("{")
    list(events_of(model, stack, out, **SMALL))
    assert is_zarr(out)


def test_an_image_of_other_channels_is_refused_before_it_is_read(model, tmp_path, monkeypatch):
    image = Image(data=np.zeros((4, 40, 60), np.uint8), axes="CYX")
    write_tiff(tmp_path / "four.tif", image)
    monkeypatch.setattr("ulens.predict.large.volumes.PlaneWork.do", None)
    with pytest.raises(ShapeError, match="4 channels"):
        list(events_of(model, tmp_path / "four.tif", tmp_path / "o.zarr", **SMALL))


def test_a_choice_of_the_engine_is_told_once(model, stack, tmp_path, monkeypatch):
    new = EngineChoice(engine="fp32", seconds={}, rejected={"bf16": "rough"}, is_new=True)
    monkeypatch.setattr(segment_large, "choose_engine", lambda *_: new)
    options = SMALL | {"engine": None}
    work = events_of(model, stack, tmp_path / "out.zarr", **options)
    assert any("not bf16: rough" in next(work).note for _ in range(2))
    next(work)
    work.close()
    events = events_of(model, stack, tmp_path / "out.zarr", **options)
    assert not any("not bf16" in (event.note or "") for event in events)


def test_8_bits_go_on_with_what_was_computed_beside_them(model, stack, tmp_path):
    out = tmp_path / "out.zarr"
    cut_off(model, stack, out)
    path = tmp_path / "out.zarr.job" / "job.json"
    job = json.loads(path.read_text())
    other = {"bf16": "fp32", "fp32": "bf16"}[job["beside_int8"]]
    path.write_text(json.dumps(job | {"engine": "openvino-int8", "beside_int8": other}))
    with pytest.raises(SettingError, match=f"computes in {other} what 8-bit integers"):
        list(events_of(model, stack, out, **SMALL))


def test_outputs_that_are_refused(model, stack, tmp_path):
    (tmp_path / "file.zarr").write_text("")
    (tmp_path / "file.tif").write_text("")
    (tmp_path / "folder.tif").mkdir()
    model = model.rename(tmp_path / "model.zarr")
    held = tmp_path / "folder.zarr" / "stack.tif"
    held.parent.mkdir()
    held.write_bytes(stack.read_bytes())
    for image, out, overwrite, message in (
        (stack, stack, True, "which is needed"),
        (held, held.parent, True, "which is needed"),
        (stack, model, True, "which is needed"),
        (stack, tmp_path / "file.zarr", False, "is a file, a folder is needed"),
        (stack, tmp_path / "file.tif", False, "exists; choose another name, or allow"),
        (stack, tmp_path / "folder.tif", True, "is a folder"),
        (stack, tmp_path / "none" / "out.zarr", False, "there is no folder"),
    ):
        with pytest.raises(OutputError, match=message):
            list(events_of(model, image, out, overwrite=overwrite, **SMALL))
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.suffix == ".job") == []


@pytest.mark.parametrize("name", ["out.zarr", "out.tif"])
def test_an_output_is_replaced_when_allowed(model, stack, tmp_path, name):
    out = tmp_path / name
    save_bundle(make_bundle(), tmp_path / "n")
    list(events_of(tmp_path / "n", stack, out, **SMALL))
    before = contents(out)
    cut_off(model, stack, out, overwrite=True)
    assert contents(out) == before
    list(events_of(model, stack, out, overwrite=True, **SMALL))
    assert contents(out) != before


@pytest.mark.parametrize("name", ["out.zarr/notes.txt", "out.zarr/0/c/thesis/1.tex", "out.zarr/a"])
@pytest.mark.parametrize("is_late", [False, True])
def test_nothing_but_what_ulens_made_is_replaced(model, stack, tmp_path, name, is_late):
    out = tmp_path / "out.zarr"
    list(events_of(model, stack, out, **SMALL))
    work = events_of(model, stack, out, overwrite=True, **SMALL)
    for _ in range(4 * is_late):
        next(work)
    (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
    if name.endswith("a"):
        (tmp_path / name).symlink_to(stack)
    else:
        (tmp_path / name).write_text("precious")
    before = contents(out)
    message = rf"holds {Path(name).name}, which ulens did not write .* move that"
    with pytest.raises(OutputError, match=message):
        list(work)
    assert contents(out) == before
    (tmp_path / name).unlink()
    list(events_of(model, stack, out, overwrite=True, **SMALL))
    assert is_zarr(out)


@pytest.mark.parametrize("kind", ["an image", "a folder", "labels by another program"])
def test_a_folder_of_another_kind_is_never_replaced(model, stack, tmp_path, kind):
    out = tmp_path / "notes.zarr"
    if kind == "a folder":
        out.mkdir()
        (out / "thesis.tex").write_text("precious")
    else:
        attributes = {"ome": {"image-label": {}}} if kind.startswith("labels") else {}
        zarr.create_group(out, attributes=attributes).create_array("0", data=make_cells(1, 20, 20))
    before = contents(out)
    with pytest.raises(OutputError, match="is no label image of ulens, so it is never replaced"):
        list(events_of(model, stack, out, overwrite=True, **SMALL))
    assert contents(out) == before


@pytest.mark.parametrize("held", ["notes.txt", "complete", "output", "t000/maps/0_0.npy"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_foreign_folder_of_the_name_of_a_job_is_kept(model, stack, tmp_path, held, overwrite):
    path = tmp_path / "out.tif.job" / held
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists but holds no job of ulens; move it away"):
        list(events_of(model, stack, tmp_path / "out.tif", overwrite=overwrite, **SMALL))
    assert path.read_text() == "precious"


def test_what_the_user_put_in_the_folder_of_a_job_is_kept(model, stack, tmp_path):
    out, folder = tmp_path / "out.zarr", tmp_path / "out.zarr.job"
    cut_off(model, stack, out)
    for name in ("notes.txt", "z000/notes.txt"):
        (folder / name).write_text("precious")
    list(events_of(model, stack, out, **SMALL))
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {"notes.txt", "z000/notes.txt"}


def test_a_file_that_appears_meanwhile_is_not_replaced(model, stack, tmp_path):
    out = tmp_path / "out.tif"
    work = events_of(model, stack, out, **SMALL)
    next(work)
    out.write_text("precious")
    with pytest.raises(OutputError, match="exists; choose another name, or allow it to be"):
        list(work)
    assert out.read_text() == "precious"
    out.unlink()
    list(events_of(model, stack, out, **SMALL))
    assert read_image(out).data.max() > 3


@pytest.mark.parametrize("name", ["out.zarr", "out.tif"])
def test_a_link_is_followed(model, stack, tmp_path, name):
    (tmp_path / "far").mkdir()
    list(events_of(model, stack, tmp_path / "far" / name, **SMALL))
    expected = contents(tmp_path / "far" / name)
    (tmp_path / name).symlink_to(tmp_path / "far" / name)
    list(events_of(model, stack, tmp_path / name, overwrite=True, **SMALL))
    assert (tmp_path / name).is_symlink()
    assert contents(tmp_path / "far" / name) == expected
    assert [path.name for path in (tmp_path / "far").iterdir()] == [name]
    for target in ("gone", f"loop{name[3:]}"):
        link = tmp_path / f"loop{name[3:]}"
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / target)
        with pytest.raises(OutputError, match="is a link that leads nowhere; remove it"):
            list(events_of(model, stack, link, overwrite=True, **SMALL))


def test_a_job_in_use_is_let_alone(model, stack, tmp_path):
    out = tmp_path / "out.tif"
    work = events_of(model, stack, out, **SMALL)
    next(work)
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="in use by process"):
            list(events_of(model, stack, out, overwrite=overwrite, **SMALL))
    list(work)
    assert read_image(out).data.max() > 3


@pytest.mark.parametrize("kind", ["tif", "companions", "zarr"])
def test_an_image_that_changed_before_its_job_goes_on_is_noticed(model, tmp_path, kind):
    data = make_cells(3, 400, 400)
    if kind == "zarr":
        image = tmp_path / "in.zarr"
        zarr.create_array(image, data=data, chunks=(1, 100, 100), dimension_names=["z", "y", "x"])
    else:
        image = tmp_path / "in.tif"
        write_tiff(image, Image(data=data, axes="ZYX"))
    changed = image / "c" / "1" / "0" / "2" if kind == "zarr" else image
    if kind == "companions":
        image, changed = write_companions(tmp_path, data)
    out, options = tmp_path / "out.zarr", {**SMALL, "block_px": 512}
    cut_off(model, image, out, **options)
    status = changed.stat()
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(OutputError, match="holds an unfinished job with another image"):
        list(events_of(model, image, out, **options))
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    cut_off(model, image, out, **options)


def write_companions(folder, data):
    """Write an OME-TIFF of two files; returns the first, and the one that the first points to."""
    tags = (f'<TiffData IFD="0" FirstZ="{z}" PlaneCount="1"><UUID FileName="z{z}.tif">'
            f"urn:uuid:{z}</UUID></TiffData>" for z in range(2))  # fmt: skip
    height, width = data.shape[1:]
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{}">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="{data.dtype}" '
        f'SizeX="{width}" SizeY="{height}" SizeZ="2" SizeC="1" SizeT="1">'
        f"{''.join(tags)}</Pixels></Image></OME>"
    )
    for z in range(2):
        path = folder / f"z{z}.tif"
        tifffile.imwrite(path, data[z], description=xml.replace("{}", str(z)), metadata=None)
    return folder / "z0.tif", folder / "z1.tif"


def test_an_output_within_what_is_needed_is_refused(model, tmp_path):
    image = tmp_path / "in.zarr"
    zarr.create_array(image, data=make_cells(1, 40, 40)[0])
    for out in (image / "labels.zarr", model / "labels.tif"):
        with pytest.raises(OutputError, match=r"lies in .*, which is needed; choose another"):
            list(events_of(model, image, out, **SMALL))
        assert not out.with_name(f"{out.name}.job").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"average": "rotations7"}, "block by block take 1 or 8"),
        ({"block_px": 40}, "need a multiple of 512, or of 16 below it"),
        ({"block_px": 600}, "need a multiple of 512"),
        ({"halo_px": -1}, "halo_px is -1"),
        ({"memory_gb": 0.81}, "memory_gb is 0.81; this model needs"),
    ],
)
def test_settings_out_of_range(model, stack, tmp_path, options, message):
    with pytest.raises(SettingError, match=message):
        list(events_of(model, stack, tmp_path / "o.zarr", **{**SMALL, **options}))
    assert not (tmp_path / "o.zarr.job").exists()


@pytest.mark.parametrize("network_zoom", [1.0, 0.5])
@pytest.mark.parametrize("zoom", [1.0, 1.5])
def test_an_image_of_another_pixel_size_is_resampled_as_in_a_folder(
    stack, tmp_path, network_zoom, zoom
):
    bundle = replace(make_bundle(spacing_um=(0.4, 0.25)), zoom=(network_zoom, network_zoom))
    save_bundle(bundle, tmp_path / "m")
    list(events_of(tmp_path / "m", stack, tmp_path / "out", zoom=zoom))
    expected = read_image(tmp_path / "out" / "stack.tif").data
    events = list(events_of(tmp_path / "m", stack, tmp_path / "out.tif", zoom=zoom, **SMALL))
    np.testing.assert_array_equal(read_image(tmp_path / "out.tif").data, expected)
    assert expected.max() > 1
    notes = notes_of(events)
    assert any("0.5×0.25 µm per pixel are resampled by 1.25×1" in note for note in notes)


def test_images_that_cannot_be_used(model, tmp_path):
    colors = np.arange(800, dtype=np.uint16).reshape(2, 20, 20)
    write_tiff(tmp_path / "c.tif", Image(data=colors, axes="CYX"))
    tifffile.imwrite(tmp_path / "nan.tif", np.full((20, 20), np.nan, np.float32))
    for image, error, message in (
        ("c.tif", ShapeError, "has 2 channels; the model was trained on 1"),
        ("nan.tif", DataError, "NaN or infinite"),
        ("m", FileError, "is a folder of no Zarr"),
    ):
        with pytest.raises(error, match=message):
            list(events_of(model, tmp_path / image, tmp_path / f"{image}.zarr", **SMALL))


def test_a_full_disk_is_told(model, stack, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    with monkeypatch.context() as patch:
        patch.setattr(large_job.shutil, "disk_usage", lambda path: usage)
        with pytest.raises(
            OutputError, match=r"GB are needed beside the output .* 0.0 GB are free"
        ):
            list(events_of(model, stack, tmp_path / "out.zarr", **SMALL))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ulens.io.label_volumes.ZarrLabels.write", full)
        with pytest.raises(OutputError, match=r"No space left on device.*start again"):
            list(events_of(model, stack, tmp_path / "out.zarr", **SMALL))


def test_the_forecast_bounds_memory(model):
    bundle = load_bundle(model)
    memory = []
    for side in (100, 3_000, 200_000):
        volume = SimpleNamespace(size=(side, side), fingerprint=lambda: "")
        job = large_job.plan_job(
            bundle,
            model,
            volume,
            average=1,
            factor=(1.0, 1.0),
            engine="fp32",
            device="cpu",
            memory_gb=2,
            block_px=None,
            halo_px=None,
        )
        memory.append(large_job.count_memory_bytes(bundle, volume, job))
    assert memory[0] < memory[1] == memory[2] <= 2e9


@pytest.mark.parametrize("name", ["a.zarr", "a.tif", "a.TIFF", "a", "a.masks"])
def test_the_name_of_the_output_decides(name):
    settings = SegmentSettings(Path("m"), Path("a.tif"), out=Path(name))
    assert settings.is_large == (name not in ("a", "a.masks"))
