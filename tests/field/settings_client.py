from tests.field.settings_base import *  # noqa: F403
