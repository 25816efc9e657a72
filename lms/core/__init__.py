"""What every feature stands on: database, accounts, journal, errors, clock, web edge."""
