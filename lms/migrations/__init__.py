"""How the tables came to be: Alembic revisions, shipped in the wheel (数据库迁移)."""
