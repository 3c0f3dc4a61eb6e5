from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import REST_FRAMEWORK as _REST_FRAMEWORK

REST_FRAMEWORK = {
    **_REST_FRAMEWORK,
    "EXCEPTION_HANDLER": "tests.field.envelope.exception_handler",
    "DEFAULT_RENDERER_CLASSES": ["tests.field.envelope.EnvelopeRenderer"],
}
