"""What many projects write: every answer says whether it succeeded."""

from rest_framework.renderers import JSONRenderer
from rest_framework.views import exception_handler as rest_framework_handler


def exception_handler(exc, context):
    response = rest_framework_handler(exc, context)
    if response is not None:
        response.data = {"success": False, "error": {"status": response.status_code}}
    return response


class EnvelopeRenderer(JSONRenderer):
    def render(self, data, accepted_media_type=None, renderer_context=None):
        if renderer_context["response"].status_code < 400:
            data = {"success": True, "data": data}
        return super().render(data, accepted_media_type, renderer_context)
