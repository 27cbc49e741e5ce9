import numpy as np
import pytest

from ulens.datasets.catalogue import find_dataset, list_datasets, training_paths
from ulens.errors import FileError, PairingError, SettingError
from ulens.image import Image
from ulens.io.files import write_tiff


def test_every_set_says_what_it_shows_its_terms_and_what_to_cite():
    names = [each.name for each in list_datasets()]
    assert names == [
        "ISBI2012", "BF-C2DL-HSC", "BF-C2DL-MuSC", "DIC-C2DH-HeLa", "Fluo-C2DL-Huh7",
        "Fluo-C2DL-MSC", "Fluo-N2DH-GOWT1", "Fluo-N2DH-SIM+", "Fluo-N2DL-HeLa",
        "PhC-C2DH-U373", "PhC-C2DL-PSC",
    ]  # fmt: skip
    for each in list_datasets():
        assert each.shows
        assert "\n" not in each.shows
        assert each.made_by
        assert "cite" in each.terms
        assert each.terms_page.startswith("https://")
        assert "(20" in each.cite
        assert each.url.startswith("https://")
        assert each.url.endswith(".zip")


def test_the_addresses_are_those_of_the_publishers():
    assert find_dataset("ISBI2012").url == "https://downloads.imagej.net/ISBI-2012-challenge.zip"
    assert find_dataset("PhC-C2DH-U373").url == (
        "https://data.celltrackingchallenge.net/training-datasets/PhC-C2DH-U373.zip"
    )


@pytest.mark.parametrize("name", ["isbi2012", "ISBI 2012", "ISBI-2012"])
def test_case_blanks_and_hyphens_do_not_count(name):
    assert find_dataset(name).name == "ISBI2012"


def test_an_unknown_name_is_answered_with_the_closest_and_with_all():
    with pytest.raises(SettingError, match=r"'dic-hela'; did you mean DIC-C2DH-HeLa\?.*ISBI2012"):
        find_dataset("dic-hela")
    with pytest.raises(SettingError, match="no data set 'zzz'; ulens knows ISBI2012"):
        find_dataset("zzz")


def test_stacks_are_found_in_the_folder_or_under_the_name_in_it(tmp_path):
    isbi = find_dataset("ISBI2012")
    place = tmp_path / "ISBI2012"
    place.mkdir()
    with pytest.raises(FileError, match=r"lacks train-volume\.tif and train-labels\.tif"):
        training_paths(isbi, tmp_path)
    for name in isbi.train_on:
        (place / name).touch()
    paths = [place / "train-volume.tif", place / "train-labels.tif"]
    assert training_paths(isbi, place) == paths
    assert training_paths(isbi, tmp_path) == paths


def test_a_set_of_the_challenge_needs_sequences_and_truth(tmp_path):
    hela = find_dataset("DIC-C2DH-HeLa")
    with pytest.raises(FileError, match="is no copy of DIC-C2DH-HeLa: it lacks sequences"):
        training_paths(hela, tmp_path / "nowhere")
    place = tmp_path / "DIC-C2DH-HeLa"
    pixels = Image(data=np.zeros((8, 8), np.uint8), axes="YX")
    for folder in ("01", "01_GT/SEG"):
        (place / folder).mkdir(parents=True)
    write_tiff(place / "01/t000.tif", pixels)
    with pytest.raises(PairingError, match="without truth"):
        training_paths(hela, place)
    write_tiff(place / "01_GT/SEG/man_seg000.tif", pixels)
    assert training_paths(hela, place) == [place]
    assert training_paths(hela, tmp_path) == [place]
