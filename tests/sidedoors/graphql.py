"""Schemas whose mutations log in. The audit does not see into them."""

import graphene
import graphql_jwt
import strawberry
from django.contrib.auth import authenticate, login


class GrapheneQuery(graphene.ObjectType):
    ping = graphene.String()


class GrapheneMutation(graphene.ObjectType):
    token_auth = graphql_jwt.ObtainJSONWebToken.Field()


@strawberry.type
class Query:
    ping: str = "pong"


@strawberry.type
class Mutation:
    @strawberry.mutation
    def login(self, info: strawberry.Info, username: str, password: str) -> bool:
        return sign_in(info.context.request, username=username, password=password)


def sign_in(request, **credentials):
    user = authenticate(request, **credentials)
    login(request, user)
    return True


graphene_schema = graphene.Schema(query=GrapheneQuery, mutation=GrapheneMutation)
own_schema = strawberry.Schema(query=Query, mutation=Mutation)
