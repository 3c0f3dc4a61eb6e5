"""The endpoints as drf-spectacular describes them: bodies, answers, errors, examples.

Imported by the app's ``ready`` where ``drf_spectacular`` is installed, and nowhere else. The
schema is that of the project: the user name has the name that the user model gives it, a password
is in it where ``TOTP_REAUTHENTICATE`` asks for one, and so is what our permissions answer in the
project's own views.
"""

from . import authentication, endpoints, permissions

__all__ = ["authentication", "endpoints", "permissions"]
