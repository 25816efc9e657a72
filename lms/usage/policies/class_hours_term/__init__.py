"""每学期每学科课时 (HN-15), definitions B6."""
