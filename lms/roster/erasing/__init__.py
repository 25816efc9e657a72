"""Erasing what the school holds of a pupil, on a guardian's request or a year after leaving (删除学生个人信息)."""
