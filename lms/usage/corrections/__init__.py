"""Corrections of usage records: one person proposes, another countersigns (更正)."""
