"""每班每学年课时 (Beijing, Hangzhou)."""
