"""Projects that are not ours, with the real packages: each ``cases_NAME.py`` takes the journey and
what is special through the project of ``settings_NAME.py``. ``projects`` lists them all.
"""
