"""Lessons that were taught before, or on paper: entered by hand or from Excel, evidence grade C (补录)."""
