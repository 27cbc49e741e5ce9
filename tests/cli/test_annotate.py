"""`ulens annotate` opens the seat, or says what is missing."""

import sys

import pytest

from painted import make_project


@pytest.fixture(autouse=True)
def screen(monkeypatch):
    """Something that stands for a screen."""
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a screen has no name")
def test_without_a_screen_it_says_so_and_makes_nothing(ulens, tmp_path, monkeypatch):
    project = make_project(tmp_path)
    folders = sorted(tmp_path.rglob("*"))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    status, _, error = ulens("annotate", project.images)
    assert status == 1
    assert "needs a screen" in error
    assert sorted(tmp_path.rglob("*")) == folders


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


def test_a_folder_that_is_not_there_is_told(ulens, tmp_path):
    status, _, error = ulens("annotate", tmp_path / "nowhere")
    assert status == 1
    assert f"there is no folder {tmp_path / 'nowhere'}" in error
