"""The endpoints as drf-spectacular describes them: bodies, answers, errors, examples.

Imported by the app's ``ready`` where ``drf_spectacular`` is installed, and nowhere else. The
schema is that of the project: the user name has the name that the user model gives it, and a
fresh proof is in it if ``TOTP_REAUTHENTICATE`` asks for one.
"""

from . import endpoints

__all__ = ["endpoints"]
