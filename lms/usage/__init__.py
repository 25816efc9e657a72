"""Usage records, evidence chain, compliance (开课使用与合规)."""
