"""平均每两周左右1次 (GS-18), definitions B2."""
