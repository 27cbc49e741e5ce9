"""Run docs/notebook.ipynb, and keep what it shows: python scripts/notebook.py [FOLDER]

Works in FOLDER, or else in a temporary one. To change a cell, edit the notebook, then run this.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebook.ipynb"


def run(folder: Path) -> nbformat.NotebookNode:
    """Return the notebook as it comes out in a folder; raise what a cell raises."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell.metadata = {}
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=600, record_timing=False, resources=resources).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/jpeg", None)  # the same as the PNG
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    return notebook


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        nbformat.write(run(Path(sys.argv[1] if sys.argv[1:] else temporary)), NOTEBOOK)
