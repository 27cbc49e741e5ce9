"""A real napari on a screen that nobody sees."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def screen() -> Iterator[None]:
    """A display that Qt can draw on: that which is there, or Xvfb's."""
    pytest.importorskip("napari", reason="needs the extra napari")
    if os.environ.get("DISPLAY") or os.name == "nt":
        yield
        return
    if shutil.which("Xvfb") is None:
        pytest.skip("needs a display, or Xvfb")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as server:
        os.close(write)
        with os.fdopen(read) as told:
            os.environ["DISPLAY"] = f":{told.readline().strip()}"
        # what Qt lacks ends its process, which must not be this one
        draw = "from qtpy.QtWidgets import QApplication; QApplication([])"
        tried = subprocess.run([sys.executable, "-c", draw], capture_output=True, text=True)
        if tried.returncode:
            server.terminate()
            pytest.skip(f"Qt cannot draw on Xvfb: {tried.stderr.strip()[:500]}")
        yield
        server.terminate()
    del os.environ["DISPLAY"]


@pytest.fixture
def viewer(screen: None) -> Iterator["object"]:
    """An empty viewer."""
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(1400, 900)
    yield viewer
    viewer.close()
