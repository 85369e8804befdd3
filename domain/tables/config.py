"""What Tortoise and its migration commands need to know."""

from typing import Any


def tortoise_config(credentials: dict[str, Any]) -> dict[str, Any]:
    """Return Tortoise's configuration for asyncpg credentials (host, port, user, password, database, pool options)."""
    return {
        "connections": {"default": {"engine": "tortoise.backends.asyncpg", "credentials": credentials}},
        "apps": {
            "models": {
                "models": ["domain.tables"],
                "default_connection": "default",
                "migrations": "domain.tables.migrations",
            }
        },
        "use_tz": True,
        "timezone": "UTC",
    }


# For `tortoise -c domain.tables.config.OFFLINE makemigrations`, which reads the models and no database.
OFFLINE = tortoise_config({"host": "localhost", "port": 5432, "user": "relance", "password": "", "database": "relance"})
