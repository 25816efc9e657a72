"""Notices that ship with the program, a folder each: ``pack.yaml`` and ``forms/<form>.yaml`` (通知包)."""
