import warnings

import pytest

from ulens.io.need import LargeImageWarning, check_image_memory, free_memory


def test_free_is_what_the_computer_and_the_container_leave(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 8 kB\n")
    assert free_memory(tmp_path / "meminfo", tmp_path) == 8192
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5000\n")
    assert free_memory(tmp_path / "meminfo", tmp_path) == 8192
    (tmp_path / "memory.max").write_text("6000\n")
    assert free_memory(tmp_path / "meminfo", tmp_path) == 1000


def test_what_a_container_keeps_of_files_is_free(tmp_path):
    (tmp_path / "meminfo").write_text("MemAvailable: 8 kB\n")
    (tmp_path / "memory.max").write_text("6000\n")
    (tmp_path / "memory.current").write_text("5000\n")
    (tmp_path / "memory.stat").write_text(
        "anon 900\nfile 4000\ninactive_file 3000\nactive_file 500\n"
    )
    assert free_memory(tmp_path / "meminfo", tmp_path) == 4500


def test_what_takes_much_is_told_before_it_is_read(tmp_path):
    path = tmp_path / "a.tif"
    with pytest.warns(LargeImageWarning, match=r"a.tif of 3×1000×1000 pixels takes about 15.0 MB"):
        check_image_memory(path, (3, 1000, 1000), 2, "crop it", tell_from=15e6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_image_memory(path, (3, 1000, 1000), 2, "crop it", tell_from=15.1e6)
