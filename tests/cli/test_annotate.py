"""`ulens annotate` opens the seat, or says what is missing."""

import sys

from painted import make_project


def test_without_napari_it_says_how_to_install_it(ulens, tmp_path, monkeypatch):
    project = make_project(tmp_path)
    monkeypatch.setitem(sys.modules, "napari", None)
    status, _, error = ulens("annotate", project.images)
    assert status == 1
    assert "pip install 'ulens[napari]'" in error


def test_a_folder_without_images_is_told(ulens, tmp_path):
    (tmp_path / "empty").mkdir()
    status, _, error = ulens("annotate", tmp_path / "empty")
    assert status == 1
    assert "empty" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]
