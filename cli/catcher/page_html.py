"""The HTML of the catcher's pages. Every text that comes from a mail passes through `escape`."""

from datetime import datetime
from html import escape
from urllib.parse import urlencode

from cli.catcher.mails import CaughtMail, PageOfMails
from cli.catcher.reading import OpenedMail
from cli.catcher.receiving import MISBEHAVIOUR


def list_page(
    base: str,
    page: PageOfMails,
    thread_sizes: dict[int, int],
    query: str,
    after: int | None,
    count: int,
    newest_id: int,
) -> str:
    """The list, newest first. `thread_sizes` has an entry for each mail that is not alone in its thread."""
    rows = "".join(_row(base, mail, thread_sizes.get(mail.id, 0)) for mail in page.mails)
    if not count:
        body = (
            '<div class="empty"><p><strong>No mails yet.</strong></p>'
            "<p>Whatever is handed to the catcher appears here; nothing is delivered.</p></div>"
        )
    elif not rows:
        body = '<div class="empty"><p><strong>No mail matches.</strong></p><p>Try fewer letters.</p></div>'
    else:
        body = f'<ol class="mails">{rows}</ol>'
    found = f'<p class="found">{page.total:,} of {count:,} match.</p>' if query else ""
    live = "" if query or after else " data-live"
    return _page(
        base,
        "Caught mails",
        f"""
<header class="bar">
  <h1><a href="{base}/">Caught mails</a> <span class="count" id="count" aria-live="polite">{count:,}</span></h1>
  <form role="search" action="{base}/" method="get">
    <input type="search" name="q" value="{escape(query)}" placeholder="Address or subject" aria-label="Search mails">
    <button>Search</button>
  </form>
  <form action="{base}/delete-all" method="post" data-confirm="Delete all {count:,} mails?">
    <button class="quiet"{"" if count else " disabled"}>Delete all</button>
  </form>
</header>
<main id="mails" data-count-url="{base}/api/count" data-newest="{newest_id}" data-count="{count}"{live}>
{found}{body}{_paging(base, page, query, after)}
</main>
<p class="news" id="news" hidden><a href="{base}/">New mails have arrived. Show them.</a></p>
{_magic_addresses()}""",
    )


def mail_page(base: str, mail: CaughtMail, opened: OpenedMail, thread: list[CaughtMail], view: str | None) -> str:
    """One mail in one of its views: html, text, headers or source; the first that exists by default."""
    views = [
        name
        for name, there in (("html", opened.html), ("text", opened.text), ("headers", True), ("source", True))
        if there is not None
    ]
    chosen = view if view in views else views[0]
    here = f"{base}/mails/{mail.id}"
    tabs = "".join(
        f'<a href="{here}?view={name}"{" aria-current=page" if name == chosen else ""}>'
        f"{'HTML' if name == 'html' else name.capitalize()}</a>"
        for name in views
    )
    subject = escape(mail.headings.subject or "(no subject)")
    attachments = "".join(
        f"<li>{escape(part.name)} <small>{escape(part.media_type)}, {part.size_bytes:,} bytes</small></li>"
        for part in opened.attachments
    )
    return _page(
        base,
        subject,
        f"""
<header class="bar"><p><a href="{base}/">← All mails</a></p>
<p><a class="button" href="{here}/raw">Download source (.eml)</a></p></header>
<main>
<article>
  <h1 class="subject">{subject}</h1>
  <dl class="envelope">
    <dt>From</dt><dd>{escape(mail.headings.sender or mail.sender or "(nobody)")}</dd>
    <dt>To</dt><dd>{escape(mail.headings.to or ", ".join(mail.recipients))}</dd>
    <dt>Envelope</dt><dd>{escape(mail.sender or "<>")} → {escape(", ".join(mail.recipients))}</dd>
    <dt>Caught</dt><dd>{_time(mail.received_at)}, {mail.size_bytes:,} bytes</dd>
  </dl>
  {_thread(base, mail, thread)}
  <nav class="tabs" aria-label="Views of this mail">{tabs}</nav>
  {_view(here, mail, opened, chosen)}
  {f'<h2>Attachments</h2><ul class="attachments">{attachments}</ul>' if attachments else ""}
</article>
</main>""",
    )


def refusal_page(base: str, sentence: str) -> str:
    """A page that says why there is nothing to show."""
    return _page(
        base,
        "Not here",
        f'<main><div class="empty"><h1>Not here</h1><p>{escape(sentence)}</p>'
        f'<p><a href="{base}/">All mails</a></p></div></main>',
    )


def _view(here: str, mail: CaughtMail, opened: OpenedMail, chosen: str) -> str:
    if chosen == "html":
        return (
            f'<iframe class="body" title="HTML of the mail" src="{here}/html" referrerpolicy="no-referrer" '
            'sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>'
            '<p class="note">Scripts and anything remote, such as pictures, are not loaded.</p>'
        )
    if chosen == "text":
        return f'<pre class="body" tabindex="0">{escape(opened.text or "")}</pre>'
    if chosen == "headers":
        rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in opened.headers)
        return f'<dl class="headers">{rows}</dl>'
    return f'<pre class="body" tabindex="0">{escape(mail.raw.decode("utf-8", "replace"))}</pre>'


def _thread(base: str, mail: CaughtMail, thread: list[CaughtMail]) -> str:
    if len(thread) < 2:
        return ""
    entries = "".join(
        f"<li{' aria-current=true' if other is mail else ''}>"
        f'<a href="{base}/mails/{other.id}">{escape(other.headings.subject or "(no subject)")}</a> '
        f"<small>{_time(other.received_at)}</small></li>"
        for other in thread
    )
    return f'<nav class="thread" aria-label="Thread"><h2>Thread of {len(thread)}</h2><ol>{entries}</ol></nav>'


def _row(base: str, mail: CaughtMail, thread_size: int) -> str:
    headings = mail.headings
    chip = (
        f' <span class="chip">{"↳ " if headings.in_reply_to else ""}thread of {thread_size}</span>'
        if thread_size
        else ""
    )
    return (
        f'<li><a href="{base}/mails/{mail.id}">'
        f'<span class="to">{escape(", ".join(mail.recipients))}</span>'
        f'<span class="what">{escape(headings.subject or "(no subject)")}{chip}</span>'
        f'<span class="from">{escape(mail.sender or "<>")}</span>'
        f'<span class="when">{_time(mail.received_at)}</span></a></li>'
    )


def _paging(base: str, page: PageOfMails, query: str, after: int | None) -> str:
    links = []
    words = {"q": query} if query else {}
    if after:
        links.append(f'<a href="{base}/?{urlencode(words)}">Newest</a>')
    if page.next_after:
        links.append(f'<a rel="next" href="{base}/?{urlencode(words | {"after": str(page.next_after)})}">Older →</a>')
    return f'<nav class="paging" aria-label="Pages">{" ".join(links)}</nav>' if links else ""


def _magic_addresses() -> str:
    rows = "".join(
        f"<tr><td><code>{name}@…</code></td><td><code>{escape(reply)}</code></td><td>{escape(meaning)}</td></tr>"
        for name, (reply, meaning) in MISBEHAVIOUR.items()
    )
    return (
        '<details class="magic"><summary>Addresses that are refused on purpose</summary>'
        '<div class="wide"><table><thead><tr><th scope="col">Mail to</th><th scope="col">is answered</th>'
        f'<th scope="col">because</th></tr></thead><tbody>{rows}</tbody></table></div>'
        "<p>Anything after <code>-</code>, <code>+</code>, <code>.</code> or <code>_</code> is fine too: "
        "<code>bounce-anna@example.com</code>.</p></details>"
    )


def _time(moment: datetime) -> str:
    return f'<time datetime="{moment.isoformat()}">{moment:%Y-%m-%d %H:%M:%S} UTC</time>'


def _page(base: str, title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{base}/page.css">
<script src="{base}/page.js" defer></script>
</head>
<body>{body}
</body>
</html>
"""
