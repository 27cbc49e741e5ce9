"""Tests that need real images are skipped, counted and, where required, enforced."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REAL_TEST = """
def test_reads_images(real_data):
    assert real_data.is_dir()

def test_other():
    pass
"""


def run_pytest(folder: Path, **environment: str) -> tuple[int, str]:
    """Run REAL_TEST under our conftest in a fresh folder; return exit status and output."""
    (folder / "test_real.py").write_text(REAL_TEST)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = real\n")
    shutil.copy(Path(__file__).with_name("conftest.py"), folder)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ULENS_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", str(folder)]
    run = subprocess.run(
        command, cwd=folder, env=inherited | environment, capture_output=True, text=True
    )
    return run.returncode, run.stdout


def test_real_tests_run_and_are_counted(tmp_path):
    status, output = run_pytest(tmp_path, ULENS_DATA=str(tmp_path), ULENS_REQUIRE_REAL="1")
    assert status == 0
    assert "real-data tests executed: 1\n" in output


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "needs real images; set ULENS_DATA to their folder"),
        ("nowhere", "ULENS_DATA is 'nowhere', which is no folder; set it to the real images"),
    ],
)
def test_without_data_real_tests_are_skipped_with_a_reason(tmp_path, data, reason):
    status, output = run_pytest(tmp_path, ULENS_DATA=data)
    assert status == 0
    assert reason in output
    assert "real-data tests executed: 0\n" in output
    assert "1 passed, 1 skipped" in output


def test_a_required_real_test_that_is_skipped_fails(tmp_path):
    status, output = run_pytest(tmp_path, ULENS_REQUIRE_REAL="1")
    assert status == 1
    assert "ULENS_REQUIRE_REAL=1, but this test was skipped" in output
    assert "real-data tests executed: 0\n" in output
