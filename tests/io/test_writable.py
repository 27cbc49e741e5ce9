import os
import re
import shutil
import subprocess
import sys

import pytest

from ulens.errors import OutputError
from ulens.io.writable import (
    check_parent,
    check_writable,
    find_foreign,
    make_folder,
    remove_own,
)


def message(*arguments, **options):
    """What is said of an output that may not be written; nothing of one that may."""
    try:
        check_writable(*arguments, **options)
    except OutputError as error:
        return str(error)
    return ""


def test_a_free_name_and_an_empty_folder_may_be_written(tmp_path):
    for overwrite in (False, True):
        assert message(tmp_path / "new.csv", "table", overwrite=overwrite) == ""
        assert message(tmp_path / "new", "model", is_folder=True, overwrite=overwrite) == ""
        assert message(tmp_path, "model", is_folder=True, overwrite=overwrite) == ""


def test_a_file_is_replaced_only_where_that_is_allowed(tmp_path):
    path = tmp_path / "a.csv"
    path.touch()
    assert message(path, "table") == (
        f"table {path} exists; choose another name, or allow it to be replaced with overwrite "
        "(--overwrite)"
    )
    assert message(path, "table", overwrite=True) == ""
    for overwrite in (False, True):
        assert message(path, "scores", replaces=None, overwrite=overwrite) == (
            f"scores {path} exists; choose another name"
        )


def test_the_content_of_a_folder_is_named_and_what_can_be_done(tmp_path):
    (tmp_path / "a.tif").touch()
    (tmp_path / "b.tif").touch()
    old = {"is_folder": True, "replaces": "the old one"}
    assert message(tmp_path, "model", instead="go on with --resume", **old) == (
        f"model {tmp_path} holds a.tif, b.tif; go on with --resume, choose another name, or allow "
        "the old one to be replaced with overwrite (--overwrite)"
    )
    assert message(tmp_path, "model", overwrite=True, **old) == ""


def test_what_is_of_another_kind_is_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").touch()
    for overwrite in (False, True):
        options = {"is_folder": True, "overwrite": overwrite}
        assert message(tmp_path, "model", is_no="ulens model", **options) == (
            f"model {tmp_path} holds thesis.tex and is no ulens model, so it is never replaced; "
            "choose another name, or move what is there"
        )
        assert message(tmp_path, "table", overwrite=overwrite) == (
            f"table {tmp_path} is a folder, a file is needed; choose another name"
        )
        assert message(tmp_path / "thesis.tex", "model", **options) == (
            f"model {tmp_path / 'thesis.tex'} is a file, a folder is needed; choose another name"
        )


def test_the_folder_of_a_file_must_be_there(tmp_path):
    check_parent(tmp_path / "a.csv", "table")
    with pytest.raises(OutputError, match=r"there is no folder .*new for table a\.csv; make it"):
        check_parent(tmp_path / "new" / "a.csv", "table")


@pytest.mark.skipif(sys.platform != "linux", reason="takes the right to write where it is")
def test_a_folder_that_may_not_be_written_to_is_told_before_the_work(tmp_path):
    tmp_path.chmod(0o555)
    code = (
        "import sys; from pathlib import Path; from ulens.io.writable import check_parent\n"
        "check_parent(Path(sys.argv[1]), 'table')"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.csv")]
    if os.geteuid() == 0:  # who may write everywhere, unless that is taken from him
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    run = subprocess.run(command, capture_output=True, text=True)
    tmp_path.chmod(0o755)
    assert "may not be written to, but table a.csv is to lie there; choose another" in run.stderr


def test_what_cannot_be_looked_at_is_told(tmp_path):
    for name in ("a" * 300, "b" * 300 + ".tif"):
        text = message(tmp_path / name, "model", is_folder=name.endswith("a"))
        assert "cannot be looked at (File name too long); choose another name" in text
    (tmp_path / "link").symlink_to(tmp_path / "link")
    assert "is a link that leads nowhere; remove it" in message(tmp_path / "link", "table")


@pytest.mark.parametrize("kind", ["own", "foreign"])
def test_only_what_is_its_own_is_removed(tmp_path, kind):
    own = re.compile(r"a|b/\d+")
    folder = tmp_path / "folder"
    for name in ("a", "b/1", "b/2"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "empty").mkdir()
    foreign = []
    if kind == "foreign":
        (folder / "b" / "c").mkdir()
        foreign = [folder / "b" / "c" / "1", folder / "b" / "x", folder / "link"]
        for path in foreign[:2]:
            path.write_text("precious")
        foreign[2].symlink_to(tmp_path)
    assert find_foreign(folder, own) == sorted(foreign)
    remove_own(folder, own)
    assert find_foreign(folder, own) == sorted(foreign)
    assert folder.exists() == bool(foreign)
    assert not (folder / "a").exists()


def test_a_folder_is_made_with_those_above_it(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"folder .*c cannot be made \(.*\); choose another"):
        make_folder(tmp_path / "file" / "c")
