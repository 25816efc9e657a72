"""Many schools (多校): hand-up from school to county, city and province; counts and pages over many schools."""
