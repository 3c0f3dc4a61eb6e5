from typing import Any

from django.conf import settings
from django.http import HttpRequest


def demo(request: HttpRequest) -> dict[str, Any]:
    """Tell the templates who the demo users are, while ``DEBUG`` is on. Demo only."""
    if not settings.DEBUG:
        return {}
    return {
        "demo": {
            "username": settings.DEMO_USERNAME,
            "editor": settings.DEMO_EDITOR,
            "admin": settings.DEMO_ADMIN,
            "password": settings.DEMO_PASSWORD,
        }
    }
