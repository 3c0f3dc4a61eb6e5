from tests.field.settings_base import *  # noqa: F403

ROOT_URLCONF = "tests.field.urls_ninja"
