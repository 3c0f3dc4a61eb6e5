"""Operations of django-ninja: ways in, and look-alikes."""

from django.contrib.auth import authenticate, login
from ninja import NinjaAPI, Schema
from ninja.security import HttpBasicAuth, django_auth
from ninja_extra import ControllerBase, NinjaExtraAPI, api_controller, http_get, http_post
from ninja_jwt.controller import (
    AsyncNinjaJWTDefaultController,
    NinjaJWTDefaultController,
    NinjaJWTSlidingController,
)
from ninja_jwt.routers.obtain import obtain_pair_router, sliding_router
from ninja_jwt.schema import TokenObtainPairInputSchema
from ninja_jwt.tokens import RefreshToken

from django_totp.auth import challenge_if_enabled

api = NinjaAPI(urls_namespace="ninja")
api.add_router("token/", obtain_pair_router)
api.add_router("token/", sliding_router)


class Credentials(Schema):
    username: str
    password: str


class OwnBasic(HttpBasicAuth):
    def authenticate(self, request, username, password):
        return authenticate(request, username=username, password=password)


class BasicAndCode(OwnBasic):
    asks_second_factor = True


# Ways in.


@api.post("session")
def open_session(request, credentials: Credentials):
    login(request, authenticate(request, **credentials.dict()))


@api.post("two-methods")
def make_token(request, credentials: Credentials):
    user = authenticate(request, **credentials.dict())
    return str(RefreshToken.for_user(user).access_token)


@api.get("two-methods")
def tell(request):
    return "post"


@api.get("basic", auth=OwnBasic())
def report(request):
    return "report"


# Look-alikes.


@api.post("refresh-session", auth=django_auth)
def refresh_session(request):
    login(request, request.user)


@api.post("two-steps")
def two_steps(request, credentials: Credentials):
    user = authenticate(request, **credentials.dict())
    challenge = challenge_if_enabled(user)
    return challenge or str(RefreshToken.for_user(user).access_token)


@api.get("basic-and-code", auth=BasicAndCode())
def report_by_code(request):
    return "report"


@api_controller("/own", tags=["own"])
class OwnController(ControllerBase):
    @http_post("/pair")
    def pair(self, user_token: TokenObtainPairInputSchema):
        return user_token.to_response_schema()

    @http_get("/ping")
    def ping(self):
        return "pong"


extra_api = NinjaExtraAPI(urls_namespace="extra")
extra_api.register_controllers(NinjaJWTDefaultController, OwnController)
extra_api.register_controllers(NinjaJWTSlidingController)
async_api = NinjaExtraAPI(urls_namespace="async")
async_api.register_controllers(AsyncNinjaJWTDefaultController)
