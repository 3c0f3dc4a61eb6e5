"""What somebody writes by hand who needs a second step: Django's login, one SELECT, one UPDATE.

Nothing of this package is in it: no encryption, no challenge that ends, no log and no limit on
requests. A login in two steps that lets no code be used twice and counts wrong ones can hardly
cost less.
"""
