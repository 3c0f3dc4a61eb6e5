"""A database router of a project with a replica."""

from typing import Any


class LaggingReplica:
    """Reads go to a replica that has not heard of anything since it was made."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"

    def allow_relation(self, first: Any, second: Any, **hints: Any) -> bool:
        return True
