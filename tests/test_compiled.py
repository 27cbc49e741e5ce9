import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import ulens
from ulens.compiled import compiled

USE = (
    "import ulens, numpy as np; import ulens.metrics.thinning, ulens.metrics.warping; "
    "from ulens.labels.nearest import two_nearest; "
    "print(ulens.__file__, two_nearest(np.array([[3, 0, 7]]), reach_px=3)[1].tolist())"
)


def test_ulens_starts_where_nothing_may_be_written(tmp_path):
    package = tmp_path / "ulens"
    shutil.copytree(
        Path(ulens.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    for folder in {file.parent for file in package.rglob("*.py")}:
        # a file in place of the folder for caches: even root cannot write there
        (folder / "__pycache__").touch()
    nowhere = "/dev/null/home"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "HOME": nowhere}
    environment |= {"XDG_CACHE_HOME": nowhere, "LOCALAPPDATA": nowhere, "NUMBA_CACHE_DIR": ""}
    done = subprocess.run(
        [sys.executable, "-c", USE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(package / "__init__.py"), "[[2.0,", "1.0,", "2.0]]"]


def test_where_it_can_be_written_it_is_kept():
    @compiled
    def doubled(values):
        return values * 2

    assert doubled(np.array([2])).tolist() == [4]
    assert doubled.stats.cache_path
