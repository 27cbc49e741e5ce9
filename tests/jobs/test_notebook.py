"""What a notebook shows; the one in the docs comes out of its script."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from ulens.jobs.notebook import NotebookProgress, notebook_progress
from ulens.jobs.segmenting import SegmentProgress
from ulens.jobs.steps import Message
from ulens.training.trainer import StepLog

ROOT = Path(__file__).parent.parent.parent
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


class Display:
    """In the place of IPython.display."""

    def __init__(self):
        self.shown = []

    def display(self, content, *, raw, display_id):
        assert raw
        assert display_id
        self.shown.append(content["text/plain"])
        return self

    def update(self, content, *, raw):
        assert raw
        self.shown[-1] = content["text/plain"]


def log(progress):
    step = round(100 * progress)
    return StepLog(step=step, seconds=9.0, loss=0.5, learning_rate=0.1, progress=progress)


def test_a_training_is_one_line_that_changes_and_messages(capsys):
    display = Display()
    show = NotebookProgress(display)
    for event in (Message("read so"), log(0.1), log(0.2), log(1.0)):
        show(event)
    assert len(display.shown) == 1
    assert "step 100, loss 0.500" in display.shown[0]
    assert capsys.readouterr().out == "read so\n"


def test_a_segmentation_ends_with_its_last_image(capsys):
    display = Display()
    show = NotebookProgress(display)
    for number in (1, 2):
        image = Path(f"{number}.tif")
        show(SegmentProgress(image=image, number=number, num_images=2, num_tiles=2, tile=1))
        show(SegmentProgress(image=image, number=number, num_images=2, written=(image,)))
    assert display.shown == ["segmenting 2 of 2, 2.tif: done"]


@pytest.mark.parametrize("shell", [None, SimpleNamespace(), SimpleNamespace(kernel=1)])
def test_only_a_notebook_is_shown_anything(monkeypatch, shell):
    monkeypatch.setitem(
        sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, display=Display())
    )
    assert (notebook_progress() is None) == (not hasattr(shell, "kernel"))
    monkeypatch.delitem(sys.modules, "IPython")
    assert notebook_progress() is None


def test_the_notebook_of_the_docs_was_run_to_its_end_and_is_small():
    assert NOTEBOOK.stat().st_size < 400_000
    cells = [each for each in nbformat.read(NOTEBOOK, 4).cells if each.cell_type == "code"]
    assert [each.execution_count for each in cells] == list(range(1, len(cells) + 1))
    outputs = [output for each in cells for output in each.outputs]
    assert not [each for each in outputs if each.output_type == "error"]
    assert sum("image/png" in each.get("data", {}) for each in outputs) == 2
    assert not any(str(Path.home()) in str(each) or "/tmp" in str(each) for each in outputs)


@pytest.mark.slow
def test_the_notebook_of_the_docs_runs(tmp_path):
    specification = spec_from_file_location("notebook", ROOT / "scripts" / "notebook.py")
    script = module_from_spec(specification)
    specification.loader.exec_module(script)
    notebook = script.run(tmp_path)
    assert len(list((tmp_path / "masks").glob("*.tif"))) == 2
    assert notebook.cells[-1].outputs
