"""What packages and workflows say of ulens."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

import ulens
from ulens.cli import app

ROOT = Path(__file__).parent.parent
WORKFLOWS = (ROOT / "docs" / "workflows.md").read_text(encoding="utf-8")
OTHER_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
"""Of conda-forge."""


def test_the_recipe_needs_what_ulens_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [each.split(">=") for each in project["dependencies"]]
    recipe = (ROOT / "packaging" / "recipe.yaml").read_text(encoding="utf-8")
    run = recipe.split("  run:\n")[1].split("\n\n")[0]
    expected = {f"{OTHER_NAMES.get(name, name)} >={version}" for name, version in needed}
    expected.add(f"python {project['requires-python']}")
    assert {line.strip(" -") for line in run.splitlines()} == expected
    assert f'version: "{ulens.__version__}"' in recipe
    assert f"ulens = {project['scripts']['ulens']}" in recipe


@pytest.mark.parametrize("language", ["python", "groovy"])
def test_the_commands_of_workflows_are_those_that_ulens_takes(language):
    (block,) = re.findall(rf"```{language}\n(.*?)```", WORKFLOWS, re.S)
    lines = re.findall(r'"(ulens [^"]*)"', block)
    assert [line.split()[1] for line in lines] == ["train", "segment"]
    for line in lines:
        app.parse_args(shlex.split(line)[1:], print_error=False, exit_on_error=False)


def test_the_container_copies_what_is_there():
    text = (ROOT / "packaging" / "Containerfile").read_text(encoding="utf-8")
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY")]
    assert all((ROOT / name).exists() for names in copied for name in names)
