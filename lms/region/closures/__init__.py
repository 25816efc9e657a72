"""The county's countersignature of calendar entries between two installations, by file (校历会签文件)."""
