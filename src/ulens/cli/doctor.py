"""The command `ulens doctor`."""

from ulens.cli.summary import Summary, summarized
from ulens.cli.terminal import say
from ulens.jobs.doctor import examine


@summarized
def doctor(*, summary: Summary) -> None:
    """Show what this computer and this installation have: add it to a report of a mistake."""
    found = examine()
    summary["found"] = dict(found)
    width = max(len(name) for name, _ in found)
    for name, told in found:
        say(f"{name:{width}}  {told}")
