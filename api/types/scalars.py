"""Values that GraphQL has no word of its own for."""

from strawberry.scalars import JSON as JSON
