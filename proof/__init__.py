"""The proof: programs that attack a real deployment of the package and print what they saw.

``make proof`` runs them all; each also runs by itself, as ``python -m proof.races --help``.
"""
