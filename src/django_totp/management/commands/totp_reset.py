from django_totp.auth import reset_totp
from django_totp.management.base import EnrollmentCommand


class Command(EnrollmentCommand):
    help = (
        "Remove the two-factor authentication of a user who has lost the authenticator, with the "
        "backup codes, and end all logins. The user signs in with the password alone until "
        "enrolling again: make sure who it is that asks. The exit status is 1 if there is nothing "
        "to remove."
    )
    question = "Reset two-factor authentication of {name}?"
    done = "Two-factor authentication of {name} was reset."
    act = reset_totp
