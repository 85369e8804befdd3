"""Who or what made a change. An event keeps the kind and the id; the name is looked up when it is read."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class ActorKind(StrEnum):
    USER = "USER"
    API_KEY = "API_KEY"
    ENGINE = "ENGINE"
    CONTACT = "CONTACT"


@dataclass(frozen=True, slots=True)
class Actor:
    kind: ActorKind
    id: UUID | None = None


ENGINE = Actor(ActorKind.ENGINE)
