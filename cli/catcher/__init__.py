"""A mail server that delivers nothing: it keeps what it is handed and shows it on a page, for trying things out."""

from cli.catcher.mails import CaughtMail, MailCatcher
from cli.catcher.pages import catcher_app
from cli.catcher.serving import PortTaken, RunningCatcher, run_catcher, running_catcher, serve

__all__ = [
    "CaughtMail",
    "MailCatcher",
    "PortTaken",
    "RunningCatcher",
    "catcher_app",
    "run_catcher",
    "running_catcher",
    "serve",
]
