"""Start-up checks: ``manage.py check`` names what is wrong with the settings, and the way out.

Errors are values that cannot work. Warnings are values that work and are weak; most
of them are for ``check --deploy``. No check imports REST framework: what that knows is asked of
our views, where a project includes their URLs. Only ``database`` looks at rows, where Django
is told which databases to check.
"""

from . import database, policy, project, sessions, settings, tokens

__all__ = ["database", "policy", "project", "sessions", "settings", "tokens"]
