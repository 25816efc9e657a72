"""Notices to people, in the app and by mail or group chat (通知): weekly digest, deadlines; they stop when the thing is done."""
