"""The three years after (实施): reports by phase, cases, seed teachers, events, inspection, warning, rectification, exit, acceptance."""
