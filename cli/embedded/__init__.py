"""Embedded PostgreSQL and Valkey, for a machine that has neither: started with Relance and ended with it."""

from cli.embedded.refusals import (
    DataDirectoryInUse,
    DataDirectoryIsAFile,
    DataDirectoryNotWritable,
    DataOfAnotherPostgres,
    EmbeddedServersCannotStart,
    NoAccountForPostgres,
    ServerDidNotStart,
    ServerNotInstalled,
)
from cli.embedded.servers import Servers, embedded_servers, start_servers

__all__ = [
    "DataDirectoryInUse",
    "DataDirectoryIsAFile",
    "DataDirectoryNotWritable",
    "DataOfAnotherPostgres",
    "EmbeddedServersCannotStart",
    "NoAccountForPostgres",
    "ServerDidNotStart",
    "ServerNotInstalled",
    "Servers",
    "embedded_servers",
    "start_servers",
]
