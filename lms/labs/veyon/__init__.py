"""Screens, locks and power of the pupils' PCs where a school runs Veyon (屏幕、锁屏、开关机): a program of its own, asked through its WebAPI."""
