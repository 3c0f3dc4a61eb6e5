"""The project behind a real server, by WSGI and by ASGI. ``FIELD_DATABASE`` names its database."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.field.settings_servers")

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

wsgi = get_wsgi_application()
asgi = get_asgi_application()
