"""``python -m lms`` is ``lms``."""

from lms.cli import main

main()
