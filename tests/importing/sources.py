"""Where people may come from: the distributions whose users enroll with their own code."""

SOURCES = {
    "otp": "django-two-factor-auth",
    "allauth": "django-allauth",
    "mfa": "django-mfa",
    "mfa2": "django-mfa2",
    "mfa3": "django-mfa3",
    "trench": "django-trench",
    "trench_reboot": "django-trench-reboot",
    "dj_rest_auth": "dj-rest-auth",
    "drf_totp": "drf-totp",
}
