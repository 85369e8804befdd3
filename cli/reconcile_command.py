"""`relance reconcile`: what has to be done once a backup was restored, before API and workers start again."""

from datetime import datetime

from cli.console import run, say, say_json
from cli.reaching import opened
from domain.settings import Settings


def run_reconcile(settings: Settings, until: datetime | None, dry_run: bool, as_json: bool) -> None:
    """Hold back what may have been sent in the lost time, give the feed a new epoch, and say what was done."""
    from domain import feed, reconciling
    from domain.secrets import Vault

    async def work() -> tuple[reconciling.Reconciled, int]:
        async with opened(settings):
            key = Vault(settings.secret_key, settings.previous_keys).message_id_key
            found = await reconciling.reconcile(key, until and until.astimezone(), dry_run=dry_run)
            return found, 0 if dry_run else await feed.start_new_epoch()

    found, feeds = run(work())
    if as_json:
        say_json({"dry_run": dry_run, "messages": found.messages, "mailboxes": found.mailboxes, "feeds": feeds})
        return
    said = f"{found.messages} messages of {found.mailboxes} mailboxes may have been sent in that time"
    if dry_run:
        say(f"{said} and would be shown as DELIVERY_UNCONFIRMED. Nothing was changed.")
        return
    say(f"{said}. They are shown as DELIVERY_UNCONFIRMED: somebody says of each that it was sent, or sends it again.")
    say(f"Feeds with a new epoch: {feeds}. Every client is told to read its list afresh (RESYNC_REQUIRED).")
