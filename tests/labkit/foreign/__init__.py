"""Boards that others made."""
