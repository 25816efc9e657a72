"""Lesson sessions, the register, the teacher's console (授课)."""
