"""每月至少两次, the schools' own target, definitions B2b."""
