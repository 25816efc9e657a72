"""Evidence of a lesson (证据): witnesses, the school's chain, anchors outside, grades, what an inspector asks."""
