"""A、B 级证据占比, definitions B10.5."""
