"""docs/testing.md: its tests are collected here and pass, as those of a project would."""

import pytest
from django.http import HttpResponse
from django.urls import include, path
from rest_framework.response import Response
from rest_framework.views import APIView

from django_totp import testing
from django_totp.authentication import JWTAuthentication
from django_totp.decorators import second_factor_required
from django_totp.permissions import HasRecentSecondFactor
from tests import markdown

PAGE = markdown.read("docs/testing.md")
pytestmark = pytest.mark.urls(__name__)


@second_factor_required(max_age=300)
def payout(request):
    return HttpResponse("paid")


class TransferView(APIView):
    authentication_classes = (JWTAuthentication,)
    permission_classes = (HasRecentSecondFactor,)

    def get(self, request):
        return Response({})


urlpatterns = [
    path("account/", include("django_totp.urls.pages")),
    path("payout/", payout),
    path("transfer/", TransferView.as_view()),
]

EXAMPLES = markdown.run("\n".join(markdown.blocks(PAGE, "python")), __name__=__name__)
TESTS = sorted(name for name in EXAMPLES if name.startswith("test_") or name.endswith("Tests"))
globals().update({name: EXAMPLES[name] for name in [*TESTS, "ada", "app"]})


def test_nothing_of_the_page_is_left_out():
    """Pytest collects what stands in this module by these names."""
    tests = ["LoginTests", "PayoutTests", "TransferTests", "test_payout"]
    assert [*tests, "test_payout_without_a_code"] == TESTS


def test_the_table_names_all_there_is():
    named = " ".join(cell for cell, *_ in markdown.rows(PAGE))
    for name in ("enroll", "login", "token_for", "no_throttling"):
        assert f"{name}(" in named
    public = {name for name in vars(testing.Authenticator) if not name.startswith("_")}
    for name in public - {"user", "factor"} | {"backup_codes"}:
        assert f"app.{name}" in named, name
