import pytest
import torch

from ulens.errors import OutputError, TrainingError
from ulens.training import state
from ulens.training.state import load_state, save_state


def test_a_state_comes_back(tmp_path):
    tensors = {"a": torch.randn(3, 2, 4, 4).to(memory_format=torch.channels_last)}
    save_state(tmp_path / "folder" / "state", tensors, {"step": 3, "skipped": [1]})
    found, record = load_state(tmp_path / "folder" / "state")
    assert torch.equal(found["a"], tensors["a"])
    assert record == {"step": 3, "skipped": [1]}


def test_a_full_disk_keeps_the_state_before(tmp_path, monkeypatch):
    save_state(tmp_path / "state", {"a": torch.ones(2)}, {"step": 1})

    def full(folder, files):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state, "replace_files", full)
    with pytest.raises(OutputError, match=r"No space left on device.*kept.*--resume"):
        save_state(tmp_path / "state", {"a": torch.zeros(2)}, {"step": 2})
    assert load_state(tmp_path / "state")[1] == {"step": 1}


@pytest.mark.parametrize("damage", [b"", b"xx", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_damaged_state_is_named(tmp_path, damage):
    (tmp_path / "state").write_bytes(damage)
    with pytest.raises(TrainingError, match="is damaged"):
        load_state(tmp_path / "state")


def test_no_state_is_named(tmp_path):
    with pytest.raises(TrainingError, match="no training to resume"):
        load_state(tmp_path / "state")
