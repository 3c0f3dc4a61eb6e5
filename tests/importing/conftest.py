import pytest

pytest.register_assert_rewrite("tests.importing.move", "tests.field.journey")

from tests.importing.move import make_moving, moving, phone  # noqa: E402, F401


@pytest.fixture
def source(request):
    """Return what ``totp_import`` calls the source of the module of cases."""
    return getattr(request.module, "SOURCE", request.module.__name__.rpartition("cases_")[2])


@pytest.fixture
def begin():
    """Return a function that begins to enroll a user, if that leaves a trace at the source."""
    return lambda user: None
