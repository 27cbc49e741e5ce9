"""Channels that lie beside each other as files."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from odd_files import pixels
from ulens.errors import FileError, SettingError
from ulens.io.channel_files import MOST_CHANNELS, find_channel_files
from ulens.io.files import read_as
from ulens.io.reading import Reading

KINDS = {
    "Leica": ["a_ch00", "a_ch01"],
    "Leica, slices": ["a_z03_ch00", "a_z03_ch01"],
    "MetaMorph": ["a_w1DAPI_s1_t2", "a_w2GFP Confocal_s1_t2"],
    "ImageXpress": ["a_B02_s1_w1A0F3", "a_B02_s1_w2B77C"],
    "Olympus": ["a_C0001", "a_C0002"],
    "Olympus, slices": ["a_C001Z004T001", "a_C002Z004T001"],
    "Zeiss": ["a_c1", "a_c2"],
    "Zeiss, ORG": ["a_c1_ORG", "a_c2_ORG"],
    "ImageJ": ["C1-a", "C2-a"],
    "Micro-Manager": ["a_channel000_position001", "a_channel001_position001"],
    "Opera": ["r01c04f02p01-ch1sk1fk1fl1", "r01c04f02p01-ch2sk1fk1fl1"],
    "OME": ["a_c0.ome", "a_c1.ome"],
}


def fill(folder, names, size=(24, 33), suffix=".tif"):
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{name}{suffix}" for name in names]
    for i, path in enumerate(paths):
        tifffile.imwrite(path, pixels(*size) + np.uint8(i))
    return paths


def images_of(found):
    return [[path.stem for path in found.files(image)] for image in found.images]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stems", [["a"], ["a", "b2", "x_y-3"]])
def test_channels_by_every_custom_are_found(tmp_path, kind, stems):
    names = [[name.replace("a", stem, 1) for name in KINDS[kind]] for stem in stems]
    if kind in ("Opera", "Micro-Manager"):
        names = [KINDS[kind]]
    paths = fill(tmp_path, itertools.chain(*names))
    found = find_channel_files(paths)
    assert images_of(found) == [[Path(f"{name}.tif").stem for name in each] for each in names]
    (note,) = found.notes
    assert note.startswith("files beside each other are taken for channels of one image, such as ")
    assert f"{names[0][0]}.tif and {names[0][1]}.tif" in note
    assert "--axes YX, takes each for an image of its own" in note
    image = read_as(found.images[0], Reading(beside=found.beside))
    assert image.axes == "CYX"
    for i, channel in enumerate(image.data):
        np.testing.assert_array_equal(channel, pixels(24, 33) + np.uint8(i))


def test_names_of_channels(tmp_path):
    paths = fill(tmp_path, ["a_w1DAPI_s1", "a_w2GFP_s1"])
    found = find_channel_files(paths)
    assert found.called == {paths[0]: tmp_path / "a_s1.tif"}
    reading = Reading(beside=found.beside, channels=("gfp",))
    image = read_as(paths[0], reading)
    assert (image.axes, image.channel_names) == ("YX", ("GFP",))
    assert image.notes == ("of 2 channels, 2 (GFP) taken as asked for",)
    np.testing.assert_array_equal(image.data, pixels(24, 33) + np.uint8(1))
    with pytest.raises(SettingError, match=r"it has 2 channels: 1 \(DAPI\), 2 \(GFP\); give"):
        read_as(paths[0], Reading(beside=found.beside, channels=("Cy5",)))


@given(st.integers(1, 12), st.integers(0, 2), st.sampled_from(["_ch{:02d}", "_c{}", "_w{}"]))
def test_numbers_of_channels(tmp_path_factory, num, first, pattern):
    folder = tmp_path_factory.mktemp("a")
    paths = [folder / f"img{pattern.format(n)}.tif" for n in range(first, first + num)]
    found = find_channel_files(paths)
    limit = min(MOST_CHANNELS, 9 - first) if "w" in pattern else MOST_CHANNELS
    if 1 < num <= limit and first < 2:
        assert images_of(found) == [[path.stem for path in paths]]
    else:
        assert found.images == paths
        assert not found.beside
        assert bool(found.notes) == (num > 1) or "w" in pattern


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ([f"img_c{i:02d}" for i in range(1, 21)], "there are 20 numbers"),
        (["img_c01", "img_c03"], "their numbers have gaps"),
        (["a_c1", "a_c2", "b_c1"], "some lack what others have"),
        (["a_c1", "a_c2", "a_c3", "b_c1", "b_c2"], "some lack what others have"),
        (["a_ch00", "a_ch01", "b_ch01", "b_ch02"], "no image has all of them"),
        (["c1", "c2", "c3"], "nothing else is in their names"),
    ],
)
def test_what_is_called_so_but_is_no_channel(tmp_path, names, why):
    paths = fill(tmp_path, names)
    found = find_channel_files(paths)
    assert (found.images, found.beside) == (paths, {})
    (note,) = found.notes
    assert note == (
        f"{names[0]}.tif and {names[1]}.tif are called like channels of one image, but each is "
        f"taken for an image of its own, since {why}"
    )


@pytest.mark.parametrize(
    "names", [["cell_1", "cell_2"], ["abc1", "abc2"], ["scan_ch", "scan_w"], ["t_c1"], ["C1", "D2"]]
)
def test_other_names_say_nothing(tmp_path, names):
    paths = fill(tmp_path, names)
    assert find_channel_files(paths).images == paths
    assert not find_channel_files(paths).notes


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_files_of_different_sizes_are_no_channels(tmp_path, suffix):
    import imageio.v3 as imageio

    for name, height in (("a_ch00", 24), ("a_ch01", 20)):
        imageio.imwrite(tmp_path / f"{name}{suffix}", pixels(height, 33))
    found = find_channel_files(sorted(tmp_path.iterdir()))
    assert len(found.images) == 2
    assert found.notes[0].endswith("since they differ in size (20×33 and 24×33)")


@pytest.mark.parametrize(
    ("axes", "num"), [("YX", 2), ("zyx", 2), ("CYX", 1), ("czyx", 1), (None, 1)]
)
def test_axes_without_c_say_that_each_is_an_image(tmp_path, axes, num):
    found = find_channel_files(fill(tmp_path, ["a_ch00", "a_ch01"]), axes)
    assert len(found.images) == num
    assert len(found.notes) == 1


@pytest.mark.parametrize("missing", [0, 1])
def test_an_image_that_lacks_a_channel_is_refused(tmp_path, missing):
    paths = fill(tmp_path, ["a_ch00", "a_ch01", f"b_ch0{1 - missing}"])
    found = find_channel_files(paths)
    assert found.images == [paths[0], paths[2]]
    assert read_as(paths[0], Reading(beside=found.beside)).data.shape == (2, 24, 33)
    for channels in ((), ("1",), ("2",)):
        with pytest.raises(FileError, match=rf"b_ch0{1 - missing}\.tif is .* lacks b_ch0{missing}"):
            read_as(paths[2], Reading(beside=found.beside, channels=channels))


def test_stacks_and_colors_are_joined_along_their_channels(tmp_path):
    for name, shape in (("a_ch00", (3, 24, 33)), ("a_ch01", (3, 24, 33))):
        tifffile.imwrite(
            tmp_path / f"{name}.tif", pixels(*shape), imagej=True, metadata={"axes": "ZYX"}
        )
    paths = sorted(tmp_path.iterdir())
    found = find_channel_files(paths)
    assert read_as(paths[0], Reading(beside=found.beside)).axes == "CZYX"
    for path in paths:
        tifffile.imwrite(path, pixels(24, 33, 3), photometric="rgb")
    assert read_as(paths[0], Reading(beside=found.beside)).data.shape == (6, 24, 33)
