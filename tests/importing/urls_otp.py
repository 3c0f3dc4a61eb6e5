from django.urls import include, path
from two_factor.urls import urlpatterns as _theirs

from tests.importing.urls import urlpatterns as _ours

urlpatterns = [*_ours, path("", include(_theirs))]
