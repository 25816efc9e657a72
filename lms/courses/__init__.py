"""Course packages and catalogues: read, validate, install, pin to a class (课程包)."""
