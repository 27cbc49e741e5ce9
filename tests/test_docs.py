"""What the pages under docs/ show: snippets run, links lead somewhere, pictures can be drawn."""

import doctest
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from tiny_training import squares
from ulens.image import Image
from ulens.io.files import write_tiff

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))
HOW_TOS = sorted((DOCS / "how-to").glob("*.md"))
EXPLANATIONS = sorted((DOCS / "explanation").glob("*.md"))


def snippets(page: Path) -> list[tuple[str, str]]:
    """The kind and the text of each snippet, also of those that are part of a list."""
    found = re.findall(r"^( *)```(\w+)\n(.*?)^\1```", page.read_text("utf-8"), re.S | re.M)
    return [(kind, re.sub(f"^{indent}", "", text, flags=re.M)) for indent, kind, text in found]


def quicker(text: str) -> str:
    """The same with a second for each training: nothing but the time is changed."""
    return re.sub(r'(--time |time=")\w+', r"\g<1>1s", text)


def run_page(page: Path, ulens) -> None:
    """Run all snippets of a page one after the other in the current folder."""
    names: dict[str, object] = {}
    for kind, text in snippets(page):
        assert kind in ("sh", "python"), f"{page.name}: nothing runs snippets of {kind}"
        if kind == "python":
            exec(compile(quicker(text), f"{page.name}, python", "exec"), names)
            continue
        for line in text.splitlines():
            program, *arguments = shlex.split(quicker(line), comments=True)
            assert program == "ulens", f"{page.name}: nothing runs {line}"
            status, out, error = ulens(*arguments)
            assert status == 0, f"{page.name}: {line}\n{out}\n{error}"


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_the_snippets_of_a_tutorial_run_in_an_empty_folder(page, ulens, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(page, ulens)


@pytest.mark.parametrize("page", HOW_TOS, ids=lambda page: page.stem)
def test_the_snippets_of_a_how_to_run_where_there_are_images(page, ulens, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        image, label = squares(number)
        for kind, array in (("images", image), ("labels", label), ("new_images", image)):
            Path(kind).mkdir(exist_ok=True)
            write_tiff(Path(kind, f"{number}.tif"), Image(data=array, axes="YX"))
    if "--resume" in page.read_text("utf-8"):
        ulens("train", "images", "labels", "--time", "1s", "-o", "cells.model")
    run_page(page, ulens)


@pytest.mark.parametrize("page", EXPLANATIONS, ids=lambda page: page.stem)
def test_the_snippets_of_an_explanation_print_what_it_says(page):
    kinds = {kind for kind, _ in snippets(page)}
    assert kinds <= {"python"}
    found = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert found.failed == 0
    assert found.attempted or not kinds


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.S | re.M)
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_are_there(page):
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.S | re.M)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {link}"


def in_navigation(entry) -> list[str]:
    """The files that a navigation names, at any depth."""
    if isinstance(entry, str):
        return [entry]
    entries = entry.values() if isinstance(entry, dict) else entry
    return [file for each in entries for file in in_navigation(each)]


def test_every_page_is_in_the_navigation_of_the_site():
    site = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))
    named = in_navigation(site["project"]["nav"])
    assert len(named) == len(set(named))
    made_by_the_build = {"docs/reference/commands.md"}
    assert set(named) - made_by_the_build == {page.relative_to(ROOT).as_posix() for page in PAGES}


def test_the_pictures_are_those_that_the_script_draws():
    drawn = {path.name for path in (DOCS / "pictures").iterdir()}
    script = (ROOT / "scripts" / "pictures.py").read_text("utf-8")
    assert drawn == set(re.findall(r'folder / "([\w.]+)"', script))
    shown = {
        name
        for page in EXPLANATIONS
        for name in re.findall(r"pictures/([\w.]+)", page.read_text("utf-8"))
    }
    assert drawn == shown
