"""Trusted devices in the admin: whose they are, and an end to them."""

import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import path

from django_totp import devices
from django_totp.accounts import account_by
from django_totp.admin import TrustedDeviceAdmin
from django_totp.assurance import new_login
from django_totp.auth import end_sessions
from django_totp.models import TrustedDevice

site = admin.AdminSite()
site.register(TrustedDevice, TrustedDeviceAdmin)
site.register(get_user_model(), admin.ModelAdmin)
urlpatterns = [path("admin/", site.urls)]

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls(__name__),
    pytest.mark.usefixtures("without_middleware"),
]

LIST = "/admin/django_totp/trusteddevice/"
LIVE = re.compile(r'class="field-spares_code"><img[^>]*alt="(\w+)"')


@pytest.fixture(autouse=True)
def _on(settings):
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 30 * 86400


@pytest.fixture
def trust(enrolled_user):
    """Return a function that makes a trusted device of the user, and gives what it keeps."""
    user = account_by("pk", enrolled_user.pk)
    return lambda name: devices.trust(user, new_login(user, "pwd", "otp"), name)


@pytest.fixture
def staff(client, make_user):
    """Return a function that signs a member of the staff in who has the given permissions."""

    def staff(*codenames):
        user = make_user("grace", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return staff


@pytest.fixture
def support(staff):
    return staff("view_trusteddevice", "end_sessions")


def remove(client, *rows, confirmed=True, **data):
    data |= {"action": "remove_devices", "_selected_action": [row.pk for row in rows]}
    data |= {"confirmed": "yes"} if confirmed else {"index": "0", "select_across": "0"}
    return client.post(LIST, data)


def text_of(response):
    assert response.status_code == 200
    return response.content.decode()


def test_the_default_site_has_them():
    assert isinstance(admin.site.get_model_admin(TrustedDevice), TrustedDeviceAdmin)


def test_a_row(support, trust, enrolled_user):
    value = trust("<i>laptop</i>")
    device = TrustedDevice.objects.get()
    for url in (LIST, f"{LIST}{device.pk}/change/"):
        page = text_of(support.get(url))
        assert enrolled_user.get_username() in page
        assert "&lt;i&gt;laptop&lt;/i&gt;" in page
        assert str((device.expires_at).year) in page
        secrets = (*value.split(".")[3:], device.series, device.digest, device.fingerprint)
        assert not [one for one in secrets if one in page]
        assert 'type="text"' not in page.replace('type="text" size="40"', "")


def test_which_of_them_spare_a_code(settings, support, trust, enrolled_user):
    trust("laptop")
    assert LIVE.findall(text_of(support.get(LIST))) == ["True"]
    end_sessions(enrolled_user)
    assert LIVE.findall(text_of(support.get(LIST))) == ["False"]
    TrustedDevice.objects.all().delete()
    trust("laptop")
    TrustedDevice.objects.update(
        expires_at=TrustedDevice.objects.get().created_at - timedelta(seconds=1)
    )
    assert LIVE.findall(text_of(support.get(LIST))) == ["False"]


def test_statements_do_not_depend_on_the_number_of_rows(support, trust):
    def statements():
        with CaptureQueriesContext(connection) as queries:
            support.get(LIST)
        return len(queries)

    trust("a")
    few = statements()
    for name in "bcdefg":
        trust(name)
    assert statements() == few


def test_removal_asks_first(support, trust, enrolled_user):
    trust("laptop")
    page = text_of(remove(support, TrustedDevice.objects.get(), confirmed=False))
    assert f"{enrolled_user.get_username()}: laptop" in page
    assert TrustedDevice.objects.exists()


def test_removal(support, trust, enrolled_user, caplog):
    caplog.set_level("INFO", "django_totp")
    mine = trust("laptop")
    other = trust("phone")
    laptop, phone = TrustedDevice.objects.order_by("pk")
    caplog.clear()
    assert remove(support, laptop, reason="stolen").status_code == 302
    assert [*TrustedDevice.objects.all()] == [phone]
    [record] = [one for one in caplog.records if getattr(one, "event", "") == "device_removed"]
    assert (record.user_pk, record.device) == (str(enrolled_user.pk), "laptop")
    assert record.reason == "stolen"
    assert record.actor_pk == str(get_user_model().objects.get(is_staff=True).pk)
    assert LogEntry.objects.count() == 2
    user = account_by("pk", enrolled_user.pk)
    assert devices.use(user, mine) is None
    assert devices.use(user, other) is not None


def test_one_that_was_removed_meanwhile(support, trust, monkeypatch):
    trust("laptop")
    device = TrustedDevice.objects.get()
    remove_now = devices.remove

    def remove_before(user, key, **facts):
        TrustedDevice.objects.all().delete()
        return remove_now(user, key, **facts)

    monkeypatch.setattr(devices, "remove", remove_before)
    response = support.get(remove(support, device)["Location"])
    assert "1 entry had changed meanwhile" in text_of(response)
    assert not LogEntry.objects.exists()


def test_who_may(staff, trust):
    trust("laptop")
    device = TrustedDevice.objects.get()
    client = staff()
    assert client.get(LIST).status_code == 403
    user = get_user_model().objects.get(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_trusteddevice"))
    assert "remove_devices" not in text_of(client.get(LIST))
    remove(client, device)
    assert TrustedDevice.objects.exists()
    for url in (f"{LIST}add/", f"{LIST}{device.pk}/delete/"):
        assert client.post(url, {"post": "yes"}).status_code == 403
    assert client.post(f"{LIST}{device.pk}/change/", {"name": "x"}).status_code == 403


def test_a_user_can_be_deleted_with_them(client, make_user, trust, enrolled_user):
    trust("laptop")
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    meta = enrolled_user._meta
    url = f"/admin/{meta.app_label}/{meta.model_name}/{enrolled_user.pk}/delete/"
    assert client.post(url, {"post": "yes"}).status_code == 302
    assert not TrustedDevice.objects.exists()
    assert not get_user_model().objects.filter(pk=enrolled_user.pk).exists()
