"""The router of docs/several-databases.md: users and all that is theirs in another database."""

from tests import markdown
from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as _APPS

[ROUTER] = markdown.blocks(
    markdown.sections(markdown.read("docs/several-databases.md"), 2)[
        "Users in a database of their own"
    ],
    "python",
)[:1]
AccountsRouter = markdown.run(ROUTER)["AccountsRouter"]

_SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
DATABASES = {"default": _SQLITE, "accounts": {**_SQLITE, "TEST": {"DEPENDENCIES": []}}}
DATABASE_ROUTERS = ["tests.variants.settings_docs_databases.AccountsRouter"]
AUTH_USER_MODEL = "auth.User"  # whose app the page's router names
_OTHERS = {"tests.users", "rest_framework_simplejwt.token_blacklist"}  # it does not name these
INSTALLED_APPS = [app for app in _APPS if app not in _OTHERS]
