from django_totp.management.base import EnrollmentCommand
from django_totp.recovery import allow_recovery


class Command(EnrollmentCommand):
    help = (
        "Let a user who has lost the authenticator, with the backup codes, set up a new one at "
        "the next login with the password. Until then the old one counts. Make sure who it is "
        "that asks. The exit status is 1 if there is nothing to recover."
    )
    question = "Let {name} set up a new authenticator with the password alone?"
    done = "{name} may set up a new authenticator now, for seven days."
    act = allow_recovery
