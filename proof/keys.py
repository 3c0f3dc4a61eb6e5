"""The keys of a re-encryption under way. Imported once Django is set up."""

from django.conf import settings

NEW_KEY = {"TOTP_ENCRYPTION_KEY": "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldy0="}
NEW_KEY_FIRST = {**NEW_KEY, "TOTP_ENCRYPTION_KEY_FALLBACKS": [settings.TOTP_ENCRYPTION_KEY]}
