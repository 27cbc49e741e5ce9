"""The command line, run in this process; the real images, and proof that they were read."""

import os
import signal
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import hypothesis
import pytest

from ulens import cli

COUNTERPARTS = (
    "napari", "nd2", "czifile", "liffile", "pylibCZIrw", "onnxruntime", "bioimageio.core",
    "openvino", "distributed", "zarr", "yaozarrs", "geff", "py-ctcmetrics", "pycocotools",
    "roifile",
)  # fmt: skip
"""Programs of others that tests run for real."""


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real images, or a skip that says why there is none."""
    folder = os.environ.get("ULENS_DATA", "")
    if not folder:
        pytest.skip("needs real images; set ULENS_DATA to their folder")
    if not Path(folder).is_dir():
        pytest.skip(f"ULENS_DATA is {folder!r}, which is no folder; set it to the real images")
    return Path(folder)


@pytest.fixture
def ulens(monkeypatch, capsys):
    """Run the command line; returns (exit status, stdout, stderr) with lines unwrapped."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["ulens", *map(str, arguments)])
        try:
            cli.main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        return status, *capsys.readouterr()

    return run


def pytest_configure() -> None:
    # on a busy computer an example may take any time
    hypothesis.settings.register_profile("untimed", hypothesis.settings(), deadline=None)
    hypothesis.settings.load_profile("untimed")
    # run by nohup or behind the scenes, a process ignores these, and so would those it starts
    for name in ("SIGINT", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            is_ctrl_c = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_ctrl_c else signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # without the mark a skip would go unnoticed where real tests are required
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("real")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    is_skip = report.skipped and not hasattr(report, "wasxfail")
    if is_skip and item.get_closest_marker("real") and os.environ.get("ULENS_REQUIRE_REAL") == "1":
        report.outcome = "failed"
        report.longrepr = f"ULENS_REQUIRE_REAL=1, but this test was skipped: {report.longrepr[2]}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    num_executed = sum(
        report.when == "call" and "real" in report.keywords
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
    )
    terminalreporter.write_line(f"real-data tests executed: {num_executed}")
    versions = ", ".join(f"{each} {_version(each)}" for each in COUNTERPARTS)
    terminalreporter.write_line(f"run with {versions}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
