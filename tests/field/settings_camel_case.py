from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import REST_FRAMEWORK as _REST_FRAMEWORK

REST_FRAMEWORK = {
    **_REST_FRAMEWORK,
    "DEFAULT_RENDERER_CLASSES": ["djangorestframework_camel_case.render.CamelCaseJSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["djangorestframework_camel_case.parser.CamelCaseJSONParser"],
}
