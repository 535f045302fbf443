"""Judging a client by the journal.

history      what the client sent, and what it knew when it did
checks       CHECKS, one row per check, and the functions behind it
assertions   the same checks as assertions, under the same names
"""
