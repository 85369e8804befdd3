"""`relance feed`: what whoever runs the installation may do to the feed of changes."""

from cli.console import run, say, say_json
from cli.reaching import opened
from domain import feed, recounting
from domain.settings import Settings


def start_new_epoch(settings: Settings, as_json: bool) -> None:
    """Give the feed of every workspace a new epoch, and say how many: every reader then reads its list afresh."""

    async def work() -> int:
        async with opened(settings):
            return await feed.start_new_epoch()

    count = run(work())
    if as_json:
        say_json({"feeds": count})
    else:
        say(f"Feeds with a new epoch: {count}. Every client is told to read its list afresh (RESYNC_REQUIRED).")


def recount(settings: Settings, as_json: bool) -> None:
    """Make the counters anew, and say how many were wrong before."""

    async def work() -> int:
        async with opened(settings):
            wrong = await recounting.differences()
            await recounting.recount()
            return wrong

    wrong = run(work())
    if as_json:
        say_json({"wrong": wrong})
    else:
        say(f"The numbers of reports are made anew from the rows; {wrong} of them were wrong.")
