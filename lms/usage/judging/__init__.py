"""How a school is judged (判定): facts of a term, what counts, windows, verdicts, what is still to come."""
