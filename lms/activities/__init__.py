"""What pupils do, and the work they leave (活动与作品)."""
