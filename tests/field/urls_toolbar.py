from debug_toolbar.toolbar import debug_toolbar_urls
from django.conf import settings

from tests.urls import urlpatterns as _ours

settings.DEBUG = True  # else there are no pages of the toolbar; the test runner turned it off
urlpatterns = [*_ours, *debug_toolbar_urls()]
