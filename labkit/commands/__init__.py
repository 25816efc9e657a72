"""The commands of ``labkit`` that have a file of their own.

Every module of this folder names its commands in ``COMMANDS`` (a tuple of ``click.Command``); `add_to` hangs them on the
command line. What they share (``Voice``, ``broker_options``, ``Console``) stands in ``labkit.commands.console``.
"""

from __future__ import annotations

import importlib
import pkgutil

import click


def add_to(group: click.Group) -> None:
    """Add every module's commands; a module without ``COMMANDS`` adds nothing."""
    for found in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{found.name}")
        for command in getattr(module, "COMMANDS", ()):
            group.add_command(command)
