"""The projects that are not ours. Each row: its cases, and the environment that varies them."""

PROJECTS: list[tuple[str, dict[str, str]]] = [
    # What REST framework is told: the shapes of bodies, and who is signed in.
    ("dj_rest_auth", {}),
    ("djoser", {}),
    ("knox", {}),
    ("ninja", {}),
    ("oauth_toolkit", {}),
    # What looks on: reports, profiles, histories.
    ("silk", {}),
    ("toolbar", {}),
    ("history", {}),
    ("easyaudit", {}),
    # Who may do what, and who seems to be whom.
    ("axes", {}),
    ("guardian", {}),
    ("hijack", {}),
    ("tenants", {}),
    # The admin in other clothes.
    ("jazzmin", {}),
    ("unfold", {}),
    # Between us and the database.
    ("cacheops", {}),
    ("pgbouncer", {}),
    # Caches that are down, and one that is many.
    ("cache_down", {"CLIENT": "redis"}),
    # Real servers.
    ("servers", {"SERVER": "gevent"}),
    ("servers", {"SERVER": "uvicorn"}),
]
