"""A project with every way in that the audit knows, from the packages that ship them, and with
what looks like one. ``test_audit`` runs the audit on it, in a process of its own.
"""
