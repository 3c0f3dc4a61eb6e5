from tests.settings import *  # noqa: F403

USE_TZ = False
TIME_ZONE = "Europe/Berlin"  # summer time ended on 2026-10-25 at 01:00 UTC
