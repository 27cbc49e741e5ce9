"""Prints the page of all commands, from their docstrings."""

import re

from ulens.cli import app

page = app.generate_docs()
page = re.sub(r"## Table of Contents\n.*?(?=^## )", "", page, count=1, flags=re.S | re.M)
print(page.replace("# ulens\n", "# Commands\n", 1))
