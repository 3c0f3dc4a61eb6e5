#!/usr/bin/env python
"""Start the example project: make keys, database and demo users as needed, then serve it."""

import argparse
import os
import re
import socket
import sys


def address(value: str) -> str:
    """Return ``value`` as ``host:port``, or raise ArgumentTypeError."""
    match = re.fullmatch(r"(?:(\[[0-9A-Fa-f:]+\]|[^:\s]+):)?([0-9]{1,5})", value)
    if match is None or not 0 < int(match[2]) < 65536:
        raise argparse.ArgumentTypeError(f"{value!r} is not of the form 127.0.0.1:8000")
    return f"{match[1] or '127.0.0.1'}:{match[2]}"


def refuse_taken(address: str) -> None:
    """Exit, before anything is promised, if nothing can listen at ``address``."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, int(port)), family=family).close()
    except OSError as error:
        reason, _, _ = (error.strerror or str(error)).partition(" (")
        other = int(port) + 1 if int(port) < 65535 else 8000
        sys.exit(
            f"Cannot listen at {address}: {reason}.\nGive another port: make demo PORT={other}"
        )


def prepare() -> None:
    """Make keys, tables and demo users, where they are missing. Check the settings."""
    import django
    from django.conf import settings
    from django.core.management import CommandError, call_command
    from django.db import DatabaseError

    django.setup()
    try:
        call_command("migrate", interactive=False, skip_checks=False, verbosity=0)
        ensure_demo_users()
    except CommandError as error:
        sys.exit(str(error))
    except DatabaseError as error:
        sys.exit(
            f"The database cannot be used: {error}.\nTo begin anew, delete {settings.DATA_DIR}."
        )


def ensure_demo_users() -> None:
    """Make the demo users, or give them the password that is shown."""
    from django.conf import settings
    from django.contrib.auth.models import Group, User

    def ensure(username: str, *, is_superuser: bool = False) -> User:
        user, _ = User.objects.get_or_create(username=username)
        if not user.check_password(settings.DEMO_PASSWORD):
            user.set_password(settings.DEMO_PASSWORD)
        user.email = f"{username}@example.com"  # where mails go: they are printed
        user.is_active = True
        user.is_staff = user.is_superuser = is_superuser
        user.save()
        return user

    ensure(settings.DEMO_USERNAME)
    ensure(settings.DEMO_ADMIN, is_superuser=True)
    editors, _ = Group.objects.get_or_create(name="editors")
    ensure(settings.DEMO_EDITOR).groups.add(editors)


def welcome(address: str) -> None:
    from django.conf import settings

    print(
        f"""
django-totp example project

  Page       http://{address}/
  Name       {settings.DEMO_USERNAME}
  Password   {settings.DEMO_PASSWORD}

  Others, with the same password, who must set up a second factor:
  Editor     {settings.DEMO_EDITOR}
  Superuser  {settings.DEMO_ADMIN}

  Session    http://{address}/session/
  Admin      http://{address}/admin/
  JWT        http://{address}/jwt/
  Tools      http://{address}/tools/
  API docs   http://{address}/api/docs/

Mails to them are printed here. A recovery waits for {settings.TOTP_RECOVERY_DELAY} seconds.
Stop it with Ctrl+C.
""",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", nargs="?", type=address, default="127.0.0.1:8000")
    arguments = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"

    refuse_taken(arguments.address)
    try:
        prepare()
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is not installed here. Run `make demo`, which installs it.")
    except OSError as error:
        sys.exit(f"Cannot write {error.filename}: {error.strerror}.")
    welcome(arguments.address)

    from django.core.management import call_command

    call_command("runserver", arguments.address, use_reloader=False)


if __name__ == "__main__":
    main()
