from tests.importing.settings_trench import *  # noqa: F403
