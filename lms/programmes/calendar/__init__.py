"""Every deadline of the programmes in one calendar (日程)."""
