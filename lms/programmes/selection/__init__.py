"""Selection (评审与推荐): experts, score sheets, ranking for the committee, publication, plaques, entering for others (代填), who is missing."""
