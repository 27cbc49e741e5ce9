import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ulens.errors import OutputError
from ulens.io import lock
from ulens.io.lock import LOCK, check_free, hold

HOLDER = """
import sys
from pathlib import Path
from ulens.io.lock import hold

with hold(Path(sys.argv[1])) as told:
    print(told, flush=True)
    sys.stdin.read()
"""


def start_holder(folder):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return holder, holder.stdout.readline().strip()


def leave_record(folder, **changes):
    """What a holder leaves that was killed, or that works on another computer."""
    folder.mkdir(exist_ok=True)
    with hold(folder):
        record = json.loads((folder / LOCK).read_bytes())
    (folder / LOCK).write_text(json.dumps(record | changes))


def test_a_folder_is_made_held_and_left_as_it_was(tmp_path):
    for folder in (tmp_path / "a", tmp_path):
        with hold(folder) as told:
            assert told is None
            assert [path.name for path in folder.iterdir()] == [LOCK]
        assert not (folder / LOCK).exists()
    assert not (tmp_path / "a").exists()
    with hold(tmp_path / "b"):
        (tmp_path / "b" / "result").touch()
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["result"]


def test_who_holds_it_is_told_within_a_process_too(tmp_path):
    with hold(tmp_path):
        who = rf"is in use by process {os.getpid()} on {socket.gethostname()}, since 20\d\d-"
        for attempt in (check_free, lambda folder: hold(folder).__enter__()):
            with pytest.raises(OutputError, match=who):
                attempt(tmp_path)
    check_free(tmp_path)


def test_killed_it_is_taken_over_and_told(tmp_path):
    holder, told = start_holder(tmp_path)
    assert told == "None"
    with pytest.raises(OutputError, match=f"in use by process {holder.pid} on"):
        check_free(tmp_path)
    holder.kill()
    holder.wait()
    assert (tmp_path / LOCK).is_file()
    check_free(tmp_path)
    with hold(tmp_path) as told:
        assert told.startswith(f"took over {tmp_path} from process {holder.pid} on")
        assert told.endswith("which ended before it was done")
    holder.communicate()


@pytest.mark.parametrize("record", ["", "{", "[1]", '{"host": 3}', '{"host": "a", "process": "b"}'])
def test_a_record_that_a_crash_cut_off_is_no_hindrance(tmp_path, record):
    (tmp_path / LOCK).write_text(record)
    with hold(tmp_path) as told:
        assert told is None


def test_a_lock_of_another_computer_is_for_the_user_to_remove(tmp_path):
    leave_record(tmp_path, host="elsewhere", process=7)
    for attempt in (check_free, lambda folder: hold(folder).__enter__()):
        with pytest.raises(
            OutputError, match=r"process 7 on elsewhere.* If it crashed, remove .*lo"
        ):
            attempt(tmp_path)
    (tmp_path / LOCK).unlink()
    with hold(tmp_path) as told:
        assert told is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has locks on every drive")
@pytest.mark.parametrize("kind", ["at work", "gone", "another of its number"])
def test_on_a_drive_without_locks_the_record_decides(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(lock, "_try_lock", lambda file: None)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    changes = {
        "at work": {},
        "gone": {"process": gone.pid},
        "another of its number": {"started": "1"},
    }
    leave_record(tmp_path, **changes[kind])
    if kind == "at work":
        with pytest.raises(OutputError, match=f"in use by process {os.getpid()}"):
            check_free(tmp_path)
        return
    with hold(tmp_path) as told:
        assert "took over" in told


@pytest.mark.skipif(os.name == "nt", reason="Windows moves no folder with open files")
def test_a_folder_moved_or_removed_meanwhile_is_let_go_of(tmp_path):
    with hold(tmp_path / "a"):
        (tmp_path / "a").rename(tmp_path / "b")
        with hold(tmp_path / "a"):  # another one, of that name
            pass
        leave_record(tmp_path / "a", process=5)
    assert (tmp_path / "a" / LOCK).is_file()  # was not its own
    with hold(tmp_path / "b") as told:
        assert f"process {os.getpid()}" in told
        shutil.rmtree(tmp_path / "b")


def test_of_many_at_once_one_gets_it(tmp_path):
    """Whoever lets go removes the file: nobody may lock one that is removed already."""
    inside, most, num_held = 0, 0, 0

    def work():
        nonlocal inside, most, num_held
        for _ in range(100):
            try:
                with hold(tmp_path / "out"):
                    inside += 1
                    most = max(most, inside)
                    num_held += 1
                    inside -= 1
            except OutputError:
                pass

    threads = [threading.Thread(target=work) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert most == 1
    assert num_held > 6


@pytest.mark.skipif(os.name == "nt", reason="no limit of file sizes")
def test_on_a_full_disk_nothing_is_left(tmp_path):
    code = (
        "import resource, signal, sys; from pathlib import Path; from ulens.io.lock import hold\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "with hold(Path(sys.argv[1])): pass"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")], capture_output=True, text=True
    )
    assert "OutputError: folder" in run.stderr
    assert "cannot be made or written (File too large)" in run.stderr
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "a", tmp_path / ("a" * 300)):
        with pytest.raises(
            OutputError, match=r"folder .* cannot be made or written \(.*\); choose another"
        ):
            hold(folder).__enter__()
    assert Path(tmp_path / "file").is_file()


def test_signals_let_go_of_it(tmp_path):
    holder, _ = start_holder(tmp_path)
    holder.send_signal(signal.SIGINT)
    holder.communicate()
    assert not (tmp_path / LOCK).exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no open file")
def test_a_lock_that_is_removed_just_before_it_is_got_is_none(tmp_path, monkeypatch):
    try_lock, calls = lock._try_lock, []

    def late(file):
        if not calls:
            (tmp_path / LOCK).unlink()  # as who held it does when he is done
        calls.append(file)
        return try_lock(file)

    (tmp_path / LOCK).touch()
    monkeypatch.setattr(lock, "_try_lock", late)
    with hold(tmp_path), pytest.raises(OutputError, match="in use by process"):
        check_free(tmp_path)
    assert len(calls) == 3
