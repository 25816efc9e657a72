"""Schools, classes as cohorts, people, rooms, calendar, timetable (基础信息)."""
