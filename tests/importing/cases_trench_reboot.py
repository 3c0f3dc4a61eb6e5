"""django-trench-reboot, which goes on with the tables of django-trench."""

from tests.importing.cases_trench import *  # noqa: F403
