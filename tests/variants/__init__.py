"""Projects of other kinds: ``test_integrations`` runs each ``cases_*.py`` here in a process of its
own, with the settings of the same name.
"""
