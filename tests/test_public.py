"""The names that users build on, and the snippets they copy."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cyclopts import CycloptsError

import ulens
from tiny_training import squares
from ulens.cli import app
from ulens.image import Image
from ulens.io.files import write_tiff

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
PAGES = [
    ROOT / "README.md",
    ROOT / "README.ko.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def test_the_public_names():
    assert set(ulens.__all__) == {
        "Image",
        "Model",
        "UNet",
        "UlensError",
        "UnlikeTrainingWarning",
        "__version__",
        "evaluate",
        "inspect",
        "load",
        "read_image",
        "segment",
        "show",
        "train",
    }
    assert all(hasattr(ulens, name) for name in ulens.__all__)


def test_the_version_is_the_changelogs():
    changelog = Path(__file__).parent.parent / "CHANGELOG.md"
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", changelog.read_text(encoding="utf-8"), re.M)
    assert newest is not None
    assert newest[1] == ulens.__version__


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """The folder the README takes for granted: images/, labels/ and new_images/."""
    folder = tmp_path_factory.mktemp("readme")
    for kind in ("images", "labels", "new_images"):
        (folder / kind).mkdir()
    for seed in range(6):
        image, label = squares(seed)
        write_tiff(folder / "images" / f"{seed}.tif", Image(data=image, axes="YX"))
        write_tiff(folder / "labels" / f"{seed}.tif", Image(data=label, axes="YX"))
        write_tiff(folder / "new_images" / f"{seed}.tif", Image(data=image, axes="YX"))
    return folder


def quicker(text):
    """The README's own lines, but for the twenty minutes."""
    return text.replace("20min", "2s")


def test_the_commands_of_the_readme(workplace):
    block = re.search(r"```sh\n(ulens train.*?)```", README, re.S)
    assert block is not None
    commands = [line for line in block[1].splitlines() if line.startswith("ulens ")]
    assert [shlex.split(line)[1] for line in commands] == ["train", "segment", "evaluate"]
    for line in commands:
        arguments = shlex.split(quicker(line))[1:]
        done = subprocess.run(
            [sys.executable, "-m", "ulens", *arguments],
            cwd=workplace,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr
    assert len(list((workplace / "masks").glob("*.tif"))) == 6


def test_the_lines_of_python_in_the_readme(workplace, monkeypatch):
    block = re.search(r"```python\n(.*?)```", README, re.S)
    assert block is not None
    monkeypatch.chdir(workplace)
    (workplace / "new.tif").write_bytes((workplace / "new_images" / "0.tif").read_bytes())
    names: dict[str, object] = {}
    exec(quicker(block[1]), names)
    labels = names["labels"]
    assert isinstance(labels, np.ndarray)
    assert labels.shape == (40, 40)


def command_lines(page):
    """The arguments of every `ulens …` in the shell snippets of a page."""
    snippets = "".join(re.findall(r"^```sh\n(.*?)^```", page, re.S | re.M))
    lines = [shlex.split(line, comments=True) for line in snippets.splitlines()]
    return [line[line.index("ulens") + 1 :] for line in lines if "ulens" in line]


def check_command_lines(page):
    for arguments in command_lines(page):
        app.parse_args(arguments, print_error=False, exit_on_error=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_in_the_docs_is_one_that_ulens_takes(page):
    check_command_lines(page.read_text(encoding="utf-8"))


def test_the_guide_shows_every_command():
    assert {arguments[0] for arguments in command_lines(GUIDE)} == {
        name for name in app if not name.startswith("-")
    }


@pytest.mark.parametrize("wrong", ["-o a.model --colour red", "--steps 9", "-o a --width wide"])
def test_a_command_line_that_ulens_does_not_take_is_found(wrong):
    with pytest.raises(CycloptsError):
        check_command_lines(f"```sh\npip install .\nulens train images/ {wrong}  # so\n```\n")


def test_the_korean_readme_has_the_same_commands_scores_and_links():
    korean = (ROOT / "README.ko.md").read_text(encoding="utf-8")

    def commands(text):
        blocks = re.findall(r"```\w+\n(.*?)```", text, re.S)
        return [re.sub(r"\s*#.*", "", block) for block in blocks]

    def scores(text):
        return re.findall(r"\| (0\.\d+) \|", text)

    def links(text):
        return sorted(set(re.findall(r"\]\((?!README)([^)]+)\)", text)))

    for found in (commands, scores, links):
        assert found(korean) == found(README)
    assert len(scores(korean)) == 7
