"""Training by several processes; each test starts them on loopback, as torchrun does."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tiny_training import write_folder
from ulens.bundle import load_bundle
from ulens.training.model_folder import read_log
from ulens.training.ranks import ALONE, join_ranks

CPU = torch.device("cpu")

STEPS = """
import sys
from dataclasses import replace
import torch
from tiny_training import tiny_plan, training_images
from ulens.training.ranks import join_ranks
from ulens.training.trainer import Trainer

ranks, device = join_ranks(torch.device("cpu"))
torch.set_num_threads(1)
plan = tiny_plan(batch=2 // ranks.num, dropout=0.0, steps=3)
generator = torch.Generator().manual_seed(0)
# weights that differ from image to image: their sum is of all processes
images = [
    replace(each, weight=i + torch.rand(40, 40, generator=generator))
    for i, each in enumerate(training_images())
]
torch.manual_seed(ranks.rank)  # other weights in every process: those of the first count
trainer = Trainer(plan.make_network(1), images, plan, ranks=ranks)
losses = [log.loss for log in trainer]
result = trainer.weights(), losses, trainer.clock.step
torch.save(result, f"{sys.argv[1]}-{ranks.num}-{ranks.rank}.pt")
"""


def start(command, num):
    """Start processes as torchrun does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tests = Path(__file__).parents[1]
    processes = []
    for rank in range(num):
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", "")]),
            "OMP_NUM_THREADS": "1",
            "WORLD_SIZE": str(num),
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        arguments = [sys.executable, *map(str, command)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        processes.append(subprocess.Popen(arguments, env=environment, text=True, **pipes))
    return processes


def finish(processes):
    """Wait for all; return what each printed."""
    printed = [process.communicate(timeout=300) for process in processes]
    for process, (out, err) in zip(processes, printed, strict=True):
        assert process.returncode == 0, out + err
    return [out for out, _ in printed]


def test_alone_nothing_is_joined(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join_ranks(CPU) == (ALONE, CPU)
    assert ALONE.from_first("x") == "x"
    assert ALONE.sum(torch.tensor(2.0)) == 2


def test_two_processes_train_as_one_with_twice_the_batch(tmp_path):
    script = tmp_path / "steps.py"
    script.write_text(STEPS)
    for num in (1, 2):
        finish(start([script, tmp_path / "run"], num))
    one = torch.load(tmp_path / "run-1-0.pt")
    for rank in (0, 1):
        weights, losses, step = torch.load(tmp_path / f"run-2-{rank}.pt")
        assert step == one[2] == 3
        assert losses == pytest.approx(one[1], rel=1e-5)
        for name, value in weights.items():
            torch.testing.assert_close(value, one[0][name], rtol=1e-4, atol=1e-6)
    assert one[1][0] != one[1][1]


def test_the_command_trains_in_two_processes(tmp_path):
    write_folder(tmp_path, steps=4)
    command = [
        "-m", "ulens", "train", tmp_path / "images", tmp_path / "labels", "-o", tmp_path / "m",
        "--plan", tmp_path / "plan.json",
    ]  # fmt: skip
    spoken, silent = finish(start(command, 2))
    assert "done; on what was held out: " in spoken
    assert silent.strip() == ""
    assert [row["step"] for row in read_log(tmp_path / "m") if "loss" in row] == [1, 2, 3, 4]
    assert load_bundle(tmp_path / "m").provenance["steps"] == 4
