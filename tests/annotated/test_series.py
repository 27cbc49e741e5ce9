"""Frames and slices that are files of their own are known for neighbours; other images are not."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from ulens.annotated.holdout import split_samples
from ulens.annotated.pairs import Pair
from ulens.annotated.planes import Plane
from ulens.annotated.samples import read_annotated
from ulens.annotated.series import _read_name, find_places
from ulens.image import Image
from ulens.io.files import list_images, read_image, write_tiff


def movie(num, *, seed=0, size=(64, 80), speed=3.0):
    """Blobs that wander `speed` px a frame: (T, Y, X) images with noise, and masks."""
    generator = np.random.default_rng(seed)
    places = generator.uniform(0, 1, (12, 2)) * size
    frames = []
    for _ in range(num):
        places += generator.normal(0, speed, places.shape)
        frame = np.zeros(size)
        frame[tuple((places % size).astype(int).T)] = 1
        frames.append(ndimage.gaussian_filter(frame, 3, mode="wrap") * 6000)
    frames = np.array(frames)
    image = 60 + frames + generator.normal(0, 12, frames.shape)
    return image.clip(0, 255).astype(np.uint8), 255 * (frames > 30).astype(np.uint8)


def fields(num, seed=0, size=(64, 80)):
    """As many unrelated fields."""
    several = [movie(1, seed=1000 * seed + k, size=size) for k in range(num)]
    return tuple(np.concatenate(each) for each in zip(*several, strict=True))


def write(folder: Path, names, images, labels, axes="YX"):
    for kind, planes in (("images", images), ("labels", labels)):
        (folder / kind).mkdir(exist_ok=True, parents=True)
        for name, plane in zip(names, planes, strict=True):
            write_tiff(folder / kind / f"{name}.tif", Image(data=plane, axes=axes))
    return folder


def read(folder):
    annotated = read_annotated(folder / "images", folder / "labels")
    split = split_samples(annotated.samples, labels_are="classes")
    held_out = [sample.name for sample in split.held_out]
    told = [note for note in annotated.notes if "movie or stack" in note]
    return held_out, list(split.chosen.between), told


@pytest.mark.parametrize("pattern", ["t{:03d}", "cell_{:04d}", "{}", "a 7 frame{}", "{:02d}_raw"])
@pytest.mark.parametrize("seed", range(3))
def test_numbered_frames_of_a_movie_are_held_out_at_its_end(tmp_path, pattern, seed):
    names = [pattern.format(k) for k in range(20)]
    held_out, between, told = read(write(tmp_path, names, *movie(20, seed=seed)))
    assert held_out == names[18:]
    assert between == names[17:18]
    (sentence,) = told
    assert sentence.startswith(f"{names[0]}.tif to {names[-1]}.tif (20 files)")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("num", [4, 7, 20])
def test_numbered_images_of_unrelated_fields_are_not_a_movie(tmp_path, num, seed):
    names = [f"cell_{k:04d}" for k in range(num)]
    _, between, told = read(write(tmp_path, names, *fields(num, seed)))
    assert (between, told) == ([], [])


def test_frames_without_numbers_are_not_a_movie(tmp_path):
    names = [f"picture {letter}" for letter in "abcdefgh"]
    assert read(write(tmp_path, names, *movie(8)))[1:] == ([], [])


def test_of_several_movies_whole_ones_are_held_out_even_if_short(tmp_path):
    for k in range(6):
        names = [f"m{k}_{frame}" for frame in range(3)]
        write(tmp_path, names, *movie(3, seed=k, speed=2.0))
    held_out, between, told = read(tmp_path)
    assert held_out == ["m3_0", "m3_1", "m3_2"]
    assert between == []
    assert len(told) == 6


def test_a_movie_among_other_images_is_one_of_them(tmp_path):
    write(tmp_path, [f"t{k}" for k in range(10)], *movie(10))
    write(tmp_path, [f"other {k}" for k in range(5)], *fields(5, seed=9))
    held_out, _, told = read(tmp_path)
    assert len(told) == 1
    assert held_out in ([f"other {k}"] for k in range(5))


def stacks_of(images, num_slices):
    """Each frame as a few slices, alike but for their noise."""
    noise = np.random.default_rng(1).integers(0, 9, (len(images), num_slices, *images.shape[1:]))
    return (images[:, None] // 2 + noise).astype(np.uint8)


def test_of_a_file_with_frames_of_slices_whole_frames_are_held_out(tmp_path):
    images, labels = movie(10)
    data = [stacks_of(images, 3)], [np.repeat(labels[:, None], 3, axis=1)]
    held_out, between, _ = read(write(tmp_path, ["a"], *data, axes="TZYX"))
    assert held_out == [f"a_t009_z{z:03d}" for z in range(3)]
    assert between == [f"a_t008_z{z:03d}" for z in range(3)]


def test_of_few_frames_of_slices_a_part_of_each_plane_is_held_out(tmp_path):
    images, labels = movie(2)
    data = [stacks_of(images, 3)], [np.repeat(labels[:, None], 3, axis=1)]
    held_out, between, _ = read(write(tmp_path, ["a"], *data, axes="TZYX"))
    assert held_out == [f"a_t{t:03d}_z{z:03d}" for t in range(2) for z in range(3)]
    assert between == []


def test_stacks_that_are_frames_are_held_out_whole_at_the_end(tmp_path):
    images, labels = movie(10)
    names = [f"t{k:02d}" for k in range(10)]
    data = stacks_of(images, 3), np.repeat(labels[:, None], 3, axis=1)
    held_out, between, _ = read(write(tmp_path, names, *data, axes="ZYX"))
    assert held_out == [f"t09_z{z:03d}" for z in range(3)]
    assert between == [f"t08_z{z:03d}" for z in range(3)]


def test_slices_of_frames_as_files_of_their_own_are_held_out_by_time(tmp_path):
    images, labels = movie(10)
    names = [f"c1_t{t:02d}_z{z}" for t in range(10) for z in range(3)]
    data = stacks_of(images, 3).reshape(30, 64, 80), np.repeat(labels, 3, axis=0)
    held_out, between, _ = read(write(tmp_path, names, *data))
    assert held_out == names[27:]
    assert between == names[24:27]


def test_other_shapes_and_constant_images_are_no_neighbours(tmp_path):
    write(tmp_path, [f"a{k}" for k in range(4)], *(np.full((4, 8, 9), v, np.uint8) for v in (7, 0)))
    write(tmp_path, ["a4"], *movie(1, size=(8, 11)))
    write(tmp_path, ["a5"], *movie(1, size=(1, 5)))
    assert read(tmp_path)[1:] == ([], [])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MASK_t1z2.ome.tif", ("MASK_t#z#.ome.tif", (1, 2))),
        ("Z2_T1.png", ("Z#_T#.png", (1, 2))),
        ("cat3_fez4.tif", ("cat3_fez#.tif", (4,))),
    ],
)
def test_numbers_in_names(name, expected):
    assert _read_name(name) == expected


@pytest.mark.parametrize(
    ("folder", "is_series"),
    [("isbi2012/train/image", True), ("DIC-C2DH-HeLa/01", True), ("wbc", False)],
)
def test_real_images(real_data, folder, is_series):
    files = list_images(real_data / folder)
    files = [file for file in files if folder != "wbc" or file.suffix == ".bmp"][:24]
    planes = [
        Plane(
            name=file.stem, image=data if data.ndim == 3 else data[None], label=np.zeros((1, 1)),
            pair=Pair(image=file, label=file), spacing_um=None, notes=(), axes="", shape=(),
        )
        for file in files
        for data in [read_image(file).data]
    ]  # fmt: skip
    _, told = find_places(planes)
    assert len(told) == is_series
