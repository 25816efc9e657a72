"""Which board is which device, how well it is, what is wrong with a lab."""
