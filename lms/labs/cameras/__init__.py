"""Cameras as a school may use them: a blurred preview that is logged, recordings only under a policy that two persons signed."""
