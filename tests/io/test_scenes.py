"""Files of microscopes, made by their own libraries' writers or byte by byte, read by ours."""

import sys
from contextlib import suppress

import czifile
import imagecodecs
import liffile
import nd2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pylibCZIrw import czi

from hostile import changed_bytes
from microscope_files import write_czi, write_lif, write_nd2
from odd_files import pixels
from ulens import read_image
from ulens.errors import FileError, SettingError, UlensError
from ulens.io.files import num_planes, plane_names, planes
from ulens.io.reading import Reading
from ulens.io.regions import open_volume

OFTEN = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FOUR = ("DAPI", "GFP", "488", "2")


def nd2_file(path, data, letters="TZCYX", **options):
    return write_nd2(path, data, letters, names=FOUR[: data.shape[letters.index("C")]], **options)


def czi_file(path, data, **options):
    return write_czi(path, [data.swapaxes(1, 2)], names=FOUR[: data.shape[2]], **options)


def lif_file(path, data, sizes=None):
    return write_lif(path, {"one": (data, "TZCYX", sizes or {}, FOUR[: data.shape[2]])})


WRITERS = {"nd2": nd2_file, "czi": czi_file, "lif": lif_file}


@pytest.fixture(params=WRITERS)
def write(request):
    return WRITERS[request.param]


def whole(path, scene=None, **options):
    """The same by windows, as a large image is read."""
    with open_volume(path, Reading(scene=scene, **options)) as volume:
        height, width = volume.size
        half = height // 2
        parts = [
            [volume.read(plane, rows, slice(0, width)) for plane in volume.planes()]
            for rows in (slice(0, half), slice(half, height))
        ]
        return volume, np.concatenate([np.stack(part) for part in parts], axis=2)


@OFTEN
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)),
    kind=st.sampled_from(["uint8", "uint16"]),
    name=st.sampled_from(sorted(WRITERS)),
    seed=st.integers(0, 9),
)
def test_pixels_of_any_stack_come_as_they_were(tmp_path, shape, kind, name, seed):
    data = np.random.default_rng(seed).integers(0, 250, (*shape, 24, 33)).astype(kind)
    path = WRITERS[name](tmp_path / f"a.{name}", data)
    image = read_image(path)
    frames, slices, channels = shape
    assert image.axes == "T" * (frames > 1) + "C" * (channels > 1) + "Z" * (slices > 1) + "YX"
    assert image.data.dtype == kind
    np.testing.assert_array_equal(image.data, data.swapaxes(1, 2).squeeze())
    assert image.axes_from.endswith(f"from the file's {name.upper()} metadata")
    assert plane_names(path) == [each for each, _ in planes(image)]
    assert num_planes(path) == frames * slices
    volume, by_window = whole(path)
    assert (volume.axes, volume.shape) == (image.axes, image.data.shape)
    assert [plane.name for plane in volume.planes()] == [each for each, _ in planes(image)]
    np.testing.assert_array_equal(by_window, np.stack([plane for _, plane in planes(image)]))


def test_what_the_libraries_read_is_what_we_read(tmp_path):
    data = pixels(2, 3, 2, 24, 33)
    path = nd2_file(tmp_path / "a.nd2", data)
    assert nd2.ND2File(path).sizes == {"T": 2, "Z": 3, "C": 2, "Y": 24, "X": 33}
    np.testing.assert_array_equal(nd2.imread(path), data)
    np.testing.assert_array_equal(
        czifile.imread(czi_file(tmp_path / "a.czi", data)).squeeze(), data.swapaxes(1, 2)
    )
    np.testing.assert_array_equal(liffile.imread(lif_file(tmp_path / "a.lif", data)), data)


def test_sizes_of_pixels_and_steps(tmp_path):
    data = pixels(2, 3, 1, 24, 33)
    of_nd2 = read_image(
        nd2_file(tmp_path / "a.nd2", data, size_um=0.325, z_um=0.5, period_ms=1500.0)
    )
    of_czi = read_image(czi_file(tmp_path / "a.czi", data, size_um=(0.2, 0.25, 0.5)))
    sizes = {"X": 2e-7, "Y": 2.5e-7, "Z": 5e-7, "T": 1.5}
    of_lif = read_image(lif_file(tmp_path / "a.lif", data, sizes))
    assert of_nd2.spacing_um == (0.325, 0.325)
    for image in (of_czi, of_lif):
        assert image.spacing_um == pytest.approx((0.25, 0.2))
    for image in (of_nd2, of_czi, of_lif):
        assert image.steps.z_um == pytest.approx(0.5)
    assert of_nd2.steps.t_seconds == of_lif.steps.t_seconds == pytest.approx(1.5)


def test_without_a_calibration_there_is_no_pixel_size(write, tmp_path):
    image = read_image(write(tmp_path / "a", pixels(1, 2, 1, 24, 33)))
    assert image.spacing_um is None


@pytest.mark.parametrize(
    "compression", ["zstd0:", "zstd1:", "zstd1:PreProcess=HiLoByteUnpack", "uncompressed:"]
)
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_tiles_of_a_czi_however_compressed(tmp_path, compression, kind):
    data = np.random.default_rng(1).integers(0, 60_000, (1, 1, 2, 40, 50)).astype(kind)
    path = czi_file(tmp_path / "a.czi", data, compression=compression, tile=16)
    np.testing.assert_array_equal(read_image(path).data, data[0, 0])
    with open_volume(path) as volume:
        window = volume.read(volume.planes()[0], slice(10, 37), slice(14, 33))
    np.testing.assert_array_equal(window, data[0, 0, :, 10:37, 14:33])


def test_a_czi_of_jpeg_xr_is_read_as_its_library_reads_it(tmp_path):
    # the writer has no JPEG XR, so it is put where the uncompressed pixels of a tile are
    data = np.zeros((1, 1, 1, 64, 80), np.uint16) + np.arange(80, dtype=np.uint16)
    path = czi_file(tmp_path / "a.czi", data)
    packed = imagecodecs.jpegxr_encode(data[0, 0, 0], level=1.0)
    with czifile.CziFile(path) as content:
        (entry,) = content.subblock_directory
        segment = entry.data_segment()
        start, file = segment.data_offset, bytearray(path.read_bytes())
    assert len(packed) < data.nbytes
    file[start : start + data.nbytes] = packed.ljust(data.nbytes, b"\0")
    for place in range(len(file) - 32):
        if file[place : place + 2] == b"DV":  # the tile's entry, beside it and in the directory
            file[place + 18 : place + 22] = (4).to_bytes(4, "little")
    path.write_bytes(file)
    expected = czifile.imread(path).squeeze()
    np.testing.assert_array_equal(read_image(path).data, expected)
    np.testing.assert_array_equal(expected, data.squeeze())


@pytest.mark.parametrize("compression", ["uncompressed:", "zstd1:"])
def test_colors_of_a_czi_are_red_first(tmp_path, compression):
    data = pixels(1, 1, 1, 24, 33, 3)
    image = read_image(write_czi(tmp_path / "a.czi", [data], compression=compression))
    assert image.axes == "CYX"
    np.testing.assert_array_equal(image.data, data[0, 0, 0].transpose(2, 0, 1))


def test_colors_of_a_lif_are_red_first(tmp_path):
    stored = pixels(3, 24, 33, 3)  # blue first, as the tags of its channels say
    path = write_lif(tmp_path / "a.lif", {"one": (stored, "ZYXS", {}, ())})
    np.testing.assert_array_equal(read_image(path).data, stored[..., ::-1].transpose(3, 0, 1, 2))
    np.testing.assert_array_equal(whole(path)[1], stored[..., ::-1].transpose(0, 3, 1, 2))


def test_colors_of_an_nd2_are_refused(tmp_path):
    path = write_nd2(tmp_path / "a.nd2", pixels(24, 33, 3), "YXS")
    with pytest.raises(FileError, match=r"holds colors, 3 values a pixel; .*save it as TIFF"):
        read_image(path)


def test_deflated_frames_of_an_nd2(tmp_path):
    data = pixels(2, 3, 2, 24, 33)
    path = nd2_file(tmp_path / "a.nd2", data, is_deflated=True)
    np.testing.assert_array_equal(read_image(path).data, data.swapaxes(1, 2))


def with_scenes(path):
    """A file of two scenes of two channels; 'left' is 24×33, 'right' 20×33 where it can be."""
    left, right = pixels(2, 24, 33), 255 - pixels(2, 24, 33)
    if path.suffix == ".nd2":
        write_nd2(path, np.stack([left, right]), "PCYX", positions=("left", "right"))
    elif path.suffix == ".lif":
        write_lif(path, {"left": (left, "CYX", {}, ()), "right": (right[:, :20], "CYX", {}, ())})
    elif path.suffix == ".czi":
        write_czi(path, [left[None, :, None], right[None, :, None, :20]])
    else:
        with tifffile.TiffWriter(path, ome=True) as tif:
            tif.write(left, metadata={"axes": "CYX", "Name": "left", "PhysicalSizeX": 0.5})
            tif.write(right[:, :20], metadata={"axes": "CYX", "Name": "right"})
    return left, right if path.suffix == ".nd2" else right[:, :20]


@pytest.fixture(params=["nd2", "lif", "czi", "ome.tif"])
def scenes(request, tmp_path):
    path = tmp_path / f"a.{request.param}"
    return path, *with_scenes(path)


def test_scenes_are_listed_and_chosen(scenes):
    path, left, right = scenes
    with pytest.raises(FileError) as told:
        read_image(path)
    names = ("", "") if path.suffix == ".czi" else ("left ", "right ")
    for number, (name, data) in enumerate(zip(names, (left, right), strict=True), start=1):
        size = "×".join(map(str, data.shape))
        assert f"{number}: {name}({size})" in str(told.value)
    assert "holds 2 scenes" in str(told.value)
    assert "such as --scene 1" in str(told.value)
    with pytest.raises(FileError, match="holds 2 scenes"), open_volume(path):
        pass
    for asked, data in ((1, left), ("2", right)):
        np.testing.assert_array_equal(read_image(path, scene=asked).data, data)
        np.testing.assert_array_equal(whole(path, str(asked))[1][0], data)
    if path.suffix != ".czi":
        np.testing.assert_array_equal(read_image(path, scene="RIGHT").data, right)
    for asked in ("0", "3", "middle"):
        with pytest.raises(SettingError, match=rf"none of them '{asked}'; give the number"):
            read_image(path, scene=asked)


def test_a_large_job_does_not_go_on_with_another_scene(scenes):
    path, *_ = scenes
    prints = set()
    for scene in ("1", "2"):
        for channels in ((), ("1",), ("2",)):
            with open_volume(path, Reading(scene=scene, channels=channels)) as volume:
                prints.add(volume.fingerprint())
    assert len(prints) == 6


def test_scenes_of_one_name_are_chosen_by_number(tmp_path):
    data = pixels(1, 24, 33)
    write_nd2(tmp_path / "a.nd2", np.stack([data, data]), "PCYX", positions=("a", "A"))
    with pytest.raises(SettingError, match="several are called 'a': give the number"):
        read_image(tmp_path / "a.nd2", scene="a")


def test_a_file_of_one_image_has_one_scene(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pixels(24, 33))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", scene=1).data, pixels(24, 33))
    with pytest.raises(SettingError, match=r"holds 1 scene \(1: \(24×33\)\), none of them '2'"):
        read_image(tmp_path / "a.tif", scene=2)


def test_channels_by_name_or_number(write, tmp_path):
    data = pixels(1, 2, 4, 24, 33)
    path = write(tmp_path / "a", data)
    for asked, place in ((1, 0), ("gfp", 1), ("488", 2), ("3", 2), ("4", 3), ("2", 3)):
        image = read_image(path, channel=asked)
        assert (image.axes, image.channel_names) == ("ZYX", (FOUR[place],))
        np.testing.assert_array_equal(image.data, data[0, :, place])
        note = f"of 4 channels, {place + 1} ({FOUR[place]}) taken as asked for"
        assert image.notes == (note,)
        volume, by_window = whole(path, channels=(str(asked),))
        assert (volume.axes, volume.num_channels, volume.notes) == ("ZYX", 1, (note,))
        np.testing.assert_array_equal(by_window[:, 0], data[0, :, place])
    both = read_image(path, channel=["488", "DAPI"])
    np.testing.assert_array_equal(both.data, data[0][:, [2, 0]].swapaxes(0, 1))
    np.testing.assert_array_equal(whole(path, channels=("488", "DAPI"))[1], data[0][:, [2, 0]])
    for wrong in ("Cy5", "5", "0", "-1"):
        with pytest.raises(SettingError, match=rf"no channel '{wrong}', it has 4 channels: 1 \(DA"):
            read_image(path, channel=wrong)


def test_a_missing_library_is_named(write, tmp_path, monkeypatch):
    path = write(tmp_path / "a", pixels(1, 1, 1, 24, 33))
    kind = {nd2_file: "nd2", czi_file: "czi", lif_file: "lif"}[write]
    package = {"nd2": "nd2", "czi": "czifile", "lif": "liffile"}[kind]
    monkeypatch.delitem(sys.modules, f"ulens.io.{kind}_files", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(FileError, match=rf"takes the package {package}.*pip install 'ulens\[form"):
        read_image(path)


def test_old_nd2_files_are_refused(tmp_path):
    (tmp_path / "a.nd2").write_bytes(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100))
    with pytest.raises(FileError, match="ND2 file in JPEG 2000"):
        read_image(tmp_path / "a.nd2")


def test_nd2_files_of_an_old_version_are_refused(tmp_path):
    path = nd2_file(tmp_path / "a.nd2", pixels(1, 1, 1, 24, 33))
    path.write_bytes(path.read_bytes().replace(b"Ver3.0", b"Ver2.1"))
    with pytest.raises(FileError, match=r"version 2\.1, need 3\.0 or newer"):
        read_image(path)


@pytest.mark.parametrize("loops", ["TPZ", "PZT", "ZTP", "PT"])
def test_positions_of_an_nd2_lie_wherever_the_loops_put_them(tmp_path, loops):
    sizes = {"T": 2, "P": 3, "Z": 4}
    data = pixels(*(sizes[axis] for axis in loops), 2, 9, 11)
    path = write_nd2(tmp_path / "a.nd2", data, f"{loops}CYX", positions=("A1", "A2", "B1"))
    for place, name in enumerate(("A1", "A2", "B1")):
        own = np.take(data, place, axis=loops.index("P"))
        letters = f"{loops.replace('P', '')}CYX"
        order = [letters.index(axis) for axis in "TCZYX" if axis in letters]
        np.testing.assert_array_equal(read_image(path, scene=name).data, own.transpose(order))


@pytest.mark.parametrize("is_deflated", [False, True])
def test_a_frame_that_is_missing_is_not_made_up(tmp_path, is_deflated):
    path = tmp_path / "a.nd2"
    nd2_file(path, pixels(3, 1, 1, 24, 33), missing={1}, is_deflated=is_deflated)
    assert not nd2.imread(path)[1].any()  # what the library makes of it
    with pytest.raises(FileError, match="lacks frame 2 of 3"):
        read_image(path)
    with open_volume(path) as volume, pytest.raises(FileError, match="lacks frame 2 of 3"):
        volume.read(volume.planes()[1], slice(0, 9), slice(0, 9))


def test_a_plane_of_a_czi_that_is_missing_is_not_made_up(tmp_path):
    with czi.create_czi(str(tmp_path / "a.czi")) as document:
        for t, c in ((0, 0), (0, 1), (1, 0)):
            document.write(np.ones((24, 33, 1), np.uint8), plane={"T": t, "C": c, "Z": 0})
        document.write_metadata()
    with pytest.raises(FileError, match=r"lacks the plane .*'T': 1.*save what is there anew"):
        read_image(tmp_path / "a.czi")


def test_sizes_beyond_the_file_or_the_memory(tmp_path):
    path = write_nd2(tmp_path / "a.nd2", pixels(1, 24, 33), "CYX", uiHeight=2**31)
    with pytest.raises(FileError, match=r"says that it holds 70\.9 GB of pixels"):
        read_image(path)
    path = lif_file(tmp_path / "a.lif", pixels(1, 1, 1, 24, 33))
    text = 'NumberOfElements="33"'
    write_lif(
        path,
        {"one": (pixels(24, 33), "YX", {}, ())},
        xml=lambda xml: xml.replace(text, 'NumberOfElements="3300000000"'),
    )
    with pytest.raises(FileError, match="says that it holds"):
        read_image(path)
    far_apart(tmp_path / "a.czi", 2**30)
    with pytest.raises(FileError, match=r"tiles, of 1,584 pixels in all, lie in a scene of 10737"):
        read_image(tmp_path / "a.czi")


def far_apart(path, place):
    """A mosaic of two tiles, at 0 and at this row and column."""
    with czi.create_czi(str(path)) as document:
        for each in (0, place):
            document.write(np.ones((24, 33, 1), np.uint8), location=(each, each), plane={})
        document.write_metadata()


def test_empty_parts_of_a_mosaic_are_0(tmp_path):
    far_apart(tmp_path / "a.czi", 600)
    image = read_image(tmp_path / "a.czi").data
    assert image.shape == (624, 633)
    assert image.sum() == 2 * 24 * 33
    with open_volume(tmp_path / "a.czi") as volume:
        window = volume.read(volume.planes()[0], slice(595, 605), slice(600, 607))
    assert window[0].sum(axis=1).tolist() == [0] * 5 + [7] * 5


def test_entities_in_a_lif_are_refused(tmp_path):
    path = write_lif(
        tmp_path / "a.lif",
        {"one": (pixels(24, 33), "YX", {}, ())},
        xml=lambda xml: f'<!DOCTYPE a [<!ENTITY a "ha">]>{xml}',
    )
    with pytest.raises(FileError, match="document type or entities"):
        read_image(path)


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    data = pixels(1, 2, 2, 16, 16)
    return {
        kind: write(folder / kind, data, **({"compression": "zstd1:"} if kind == "czi" else {}))
        .read_bytes()
        for kind, write in WRITERS.items()
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", WRITERS)
@OFTEN
@given(draw=st.data())
def test_with_bytes_changed_there_is_an_image_or_a_sentence(tmp_path, contents, kind, draw):
    changed = draw.draw(changed_bytes(contents[kind]))
    path = tmp_path / f"a.{kind}"
    path.write_bytes(changed)
    for read in (read_image, lambda path: whole(path)[1]):
        with suppress(UlensError):
            read(path)
