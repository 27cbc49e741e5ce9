"""The command `ulens describe`."""

from typing import Annotated

from ulens.cli.summary import Summary, summarized
from ulens.cli.terminal import say
from ulens.jobs.describe import DescribeSettings
from ulens.jobs.describe import describe as describe_network
from ulens.jobs.options import EACH_AN_OPTION


@summarized
def describe(settings: Annotated[DescribeSettings, EACH_AN_OPTION], *, summary: Summary) -> None:
    """Describe a network and draw it as figure 1 of the paper."""
    for line in describe_network(settings):
        say(line)
        summary["notes"].append(line)
    summary["figure"] = settings.out
