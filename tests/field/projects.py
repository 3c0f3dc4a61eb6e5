"""The projects that are not ours. Each row: its cases, and the environment that varies them."""

PROJECTS: list[tuple[str, dict[str, str]]] = [
    # What REST framework is told: the shapes of bodies, and who is signed in.
    ("standardized", {}),
    ("envelope", {}),
    ("camel_case", {}),
    ("dj_rest_auth", {}),
    ("djoser", {}),
    ("knox", {}),
    ("ninja", {}),
    ("oauth_toolkit", {}),
    ("yasg", {}),
    ("client", {}),
    # What looks on: reports, profiles, histories.
    ("sentry", {}),
    ("silk", {}),
    ("toolbar", {}),
    ("history", {}),
    ("easyaudit", {}),
    # Who may do what, and who seems to be whom.
    ("allauth", {}),
    ("axes", {}),
    ("channels", {}),
    ("guardian", {}),
    ("hijack", {}),
    ("tenants", {}),
    # The admin in its own clothes, and in others.
    ("admins", {}),
    ("grappelli", {}),
    ("jazzmin", {}),
    ("unfold", {}),
    # Between us and the database.
    ("cacheops", {}),
    ("pgbouncer", {}),
    ("serializable", {}),
    # Caches that are down, and one that is many.
    ("cache_down", {"CLIENT": "django-redis"}),
    ("cache_down", {"CLIENT": "pymemcache"}),
    ("cache_down", {"CLIENT": "pymemcache-silent"}),
    ("cache_down", {"CLIENT": "redis"}),
    ("cluster", {}),
    # Real servers.
    ("asgi", {}),
    ("servers", {"SERVER": "gevent"}),
    ("servers", {"SERVER": "uvicorn"}),
]
