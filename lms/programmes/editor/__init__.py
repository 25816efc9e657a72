"""Copying and changing a notice in the browser (通知包编辑): drafts, the common numbers, the text, the office's own files, versions."""
