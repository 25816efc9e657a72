"""Programmes (项目申报): from an office's notice to a school's status. A notice is data: ``packs/<notice>/``."""
