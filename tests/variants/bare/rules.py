from typing import Any


def exists(user: Any) -> bool:
    """Return whether there is such a user: nobody is inactive here."""
    return user is not None
