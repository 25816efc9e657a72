"""智课 Zhike: the learning management system of a school's AI lab."""

__version__ = "0.1.0"
