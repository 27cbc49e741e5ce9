"""Changes the code of a room in small ways, one at a time, and names what its tests let pass.

Each room is worked on in a folder of its own, .mutants/ROOM, with mutmut. Left alone are the
wording of errors, constants and defaults outside of functions, and functions under a decorator
other than `torch.no_grad`.
"""

import argparse
import gc
import importlib
import json
import os
import random
import shutil
import sys
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import libcst as cst
from mutmut.__main__ import cli
from mutmut.configuration import reset_config
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.file_mutation import MutationVisitor, mutate_file_contents
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import get_mutant_name

ROOMS = {
    "metrics": (
        ["src/ulens/metrics/[!tw]*.py"],
        [
            "tests/metrics",
            "--ignore=tests/metrics/test_thinning.py",
            "--ignore=tests/metrics/test_warping.py",
        ],
    ),
    "thinning": (
        ["src/ulens/metrics/thinning.py", "src/ulens/metrics/warping.py"],
        ["tests/metrics/test_thinning.py", "tests/metrics/test_warping.py"],
    ),
    "encodings": (["src/ulens/encodings/*.py"], ["tests/encodings"]),
    "augment": (["src/ulens/augment/*.py"], ["tests/augment"]),
    "training": (
        ["src/ulens/training/optimizers.py", "src/ulens/training/schedule.py"],
        [
            "tests/training/test_optimizers.py",
            "tests/training/test_schedule.py",
            "--deselect=tests/training/test_optimizers.py::test_a_step_does_not_load_the_compiler",
        ],
    ),
    "holdout": (["src/ulens/annotated/holdout.py"], ["tests/annotated/test_holdout.py"]),
    "nets": (
        # but for the figure, whose layout is judged by eye
        ["src/ulens/nets/[!f]*.py", "src/ulens/nets/fcn.py"],
        [
            "tests/nets",
            "--ignore=tests/nets/test_figure.py",
            "--deselect=tests/nets/test_layers.py::test_a_network_without_weights_does_not_load_the_compiler",
        ],
    ),
}
"""Files that are changed, and the tests that guard them, but for those that start a process of
their own, which knows no mutants."""

SETTINGS = """[mutmut]
source_paths = src
only_mutate =
    {files}
pytest_add_cli_args_test_selection =
    {tests}
pytest_add_cli_args =
    -p
    no:cacheprovider
    -p
    no:unraisableexception
# backward() starts threads, which a plain fork does not survive
process_isolation = forkserver
timeout_multiplier = 4
timeout_constant = 30
use_git_change_detection = false
"""


def main() -> None:
    """Work through the rooms and print a line for each."""
    parser = argparse.ArgumentParser(prog="scripts/mutants", description=__doc__)
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(ROOMS)}")
    parser.add_argument("--sample", type=int, metavar="N", help="try N mutants, always the same")
    parser.add_argument("--again", action="store_true", help="try the last run's survivors alone")
    parser.add_argument("--rest", action="store_true", help="go on with a run that was cut off")
    options = parser.parse_args()
    if unknown := set(options.rooms) - set(ROOMS):
        parser.error(f"no rooms called {', '.join(sorted(unknown))}; there are {', '.join(ROOMS)}")
    rooms = options.rooms or list(ROOMS)
    if len(rooms) > 1:  # mutmut keeps what it knows of one folder for the life of a process
        for room in rooms:
            os.spawnv(os.P_WAIT, sys.executable, [sys.executable, *_arguments(options, room)])
        return
    _prepare(rooms[0], keep=options.again or options.rest)
    names = _survivors() if options.again else _sample(options.sample)
    if names or not options.again:
        cli(["run", "--max-children", "1", *names], standalone_mode=False)
    _report(rooms[0])


def _arguments(options: argparse.Namespace, room: str) -> list[str]:
    sample = [] if options.sample is None else ["--sample", str(options.sample)]
    return [__file__, *sample, *["--again"] * options.again, *["--rest"] * options.rest, room]


def _prepare(room: str, *, keep: bool) -> None:
    """Enter the folder of a room, and set mutmut and hypothesis up for it."""
    root, folder = Path(__file__).resolve().parents[1], Path(".mutants", room)
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    for name in ("src", "tests", "pyproject.toml"):
        if not Path(name).exists():
            Path(name).symlink_to(root / name)
    files, tests = (f"{chr(10)}    ".join(each) for each in ROOMS[room])
    Path("setup.cfg").write_text(SETTINGS.format(files=files, tests=tests))
    reset_config()  # it was read when mutmut was imported, elsewhere
    Path("mutants", "mutmut-stats.json").unlink(missing_ok=True)  # tests may have changed
    MutationVisitor._skip_node_and_children = _skip
    importlib.import_module("torch._dynamo")  # once, and not for each mutant: it takes seconds
    gc.freeze()  # as does the search for garbage in all of it
    # a failure counts, the smallest example of it does not
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile(
        "mutants",
        phases=phases,
        derandomize=True,
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("mutants")


_skip_by_default = MutationVisitor._skip_node_and_children


def _skip(visitor: MutationVisitor, node: cst.CSTNode) -> bool:
    """Whether a part of the code is left alone."""
    if isinstance(node, cst.Raise):
        return True
    if isinstance(node, cst.FunctionDef) and len(node.decorators) == 1:
        decorator = cst.Module([]).code_for_node(node.decorators[0].decorator)
        if decorator == "torch.no_grad()":
            return False
    return _skip_by_default(visitor, node)


def _sample(size: int | None) -> list[str]:
    """Name mutants drawn at random; none for all."""
    if size is None:
        return []
    names = []
    for file in _files():
        found = mutate_file_contents(str(file), file.read_text(), None, None).mutant_names
        names += [get_mutant_name(file, name) for name in found]
    return random.Random(0).sample(names, min(size, len(names)))


def _files() -> list[Path]:
    patterns, _ = ROOMS[Path.cwd().name]
    return sorted(file for pattern in patterns for file in Path().glob(pattern))


def _results() -> dict[str, str]:
    """Return how each mutant that was tried ended."""
    results: dict[str, str] = {}
    for file in _files():
        meta = Path("mutants", file.with_name(f"{file.name}.meta"))
        if meta.exists():
            codes = json.loads(meta.read_text())["exit_code_by_key"]
            results |= {name: status_by_exit_code[code] for name, code in codes.items()}
    return {name: status for name, status in results.items() if status != "not checked"}


def _survivors() -> list[str]:
    # a timeout may be an endless loop, or a busy computer
    passing = ("survived", "no tests", "suspicious", "timeout")
    return [name for name, status in _results().items() if status in passing]


def _report(room: str) -> None:
    results, survivors = _results(), _survivors()
    diffs = [f"{name}: {results[name]}\n{get_diff_for_mutant(name)}\n" for name in survivors]
    Path("survivors.diff").write_text("\n".join(diffs))
    counts = ", ".join(f"{num} {status}" for status, num in Counter(results.values()).items())
    print(f"{room}: {len(results)} mutants, {counts}; see .mutants/{room}/survivors.diff")


if __name__ == "__main__":
    main()
