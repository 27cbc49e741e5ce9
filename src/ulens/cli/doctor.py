"""The command `ulens doctor`."""

from ulens.cli.terminal import say
from ulens.jobs.doctor import examine


def doctor() -> None:
    """Show what this computer and this installation have: add it to a report of a mistake."""
    found = examine()
    width = max(len(name) for name, _ in found)
    for name, told in found:
        say(f"{name:{width}}  {told}")
