"""The gateway against real ports (ptys), real brokers and real processes."""
