"""The demo school (演示学校): made from a messy roster, taught by simulated pupils through the doors of real terminals."""
