"""Simulated kits."""
