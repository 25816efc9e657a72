"""Devices and terminals as the school sees them; the only door to labkit (实验室)."""
