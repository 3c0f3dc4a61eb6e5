"""Mails to the owner of an account about what happens to the second factor.

``hear`` listens to ``events`` and mails what the table has a sentence for; ``send`` is for mails
with a link, which no event may know of. Both keep what is known at that moment, and write and
send the mail once the change is committed. Nothing here raises into a request.
"""

from .sending import hear, send

__all__ = ["hear", "send"]
