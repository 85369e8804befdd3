"""What can be suppressed, why, and how that comes about. Source: product.md section 5."""

from enum import StrEnum


class SuppressionKind(StrEnum):
    """What a suppression is about."""

    ADDRESS = "ADDRESS"
    DOMAIN = "DOMAIN"
    PHONE = "PHONE"
    CONTACT = "CONTACT"
    ERASED = "ERASED"


class SuppressionReason(StrEnum):
    """Why it is there."""

    UNSUBSCRIBED = "UNSUBSCRIBED"
    COMPLAINED = "COMPLAINED"
    LISTED = "LISTED"


class SuppressionSource(StrEnum):
    """How it came."""

    LINK = "LINK"
    REPLY = "REPLY"
    COMPLAINT = "COMPLAINT"
    API = "API"
    IMPORT = "IMPORT"
    ENGINE = "ENGINE"
