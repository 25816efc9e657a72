"""The ``lms`` command (命令行)."""

from __future__ import annotations

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zhike")
def main() -> None:
    """智课 Zhike: the LMS of a school's AI lab (人工智能实验室教学平台)."""
