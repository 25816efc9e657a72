"""What an office sees of its programmes at a glance (看板)."""
