"""The URLs of a project without our pages."""

from tests import urls

urlpatterns = [one for one in urls.urlpatterns if str(one.pattern) != "account/"]
