from django.urls import path
from ninja import NinjaAPI
from ninja.security import HttpBearer
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import TokenError

from tests.urls import urlpatterns as _ours


class Bearer(HttpBearer):
    """The tokens of our login, as simplejwt reads them."""

    def authenticate(self, request, token):
        try:
            authentication = JWTAuthentication()
            return authentication.get_user(authentication.get_validated_token(token))
        except Exception as error:
            if isinstance(error.__cause__ or error, TokenError) or hasattr(error, "status_code"):
                return None
            raise


api = NinjaAPI(auth=Bearer())


@api.get("/me")
def me(request):
    return {"name": request.auth.get_username()}


urlpatterns = [*_ours, path("ninja/", api.urls)]
