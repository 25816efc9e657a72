"""The school year on its pages: entries, their judgement, the county's countersignature, exchange with other calendars (校历)."""
