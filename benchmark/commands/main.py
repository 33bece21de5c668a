"""The command line. Nothing here imports torch: help, list, --dry-run and report are fast."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from benchmark import commands
from benchmark.commands import run
from benchmark.console import say
from benchmark.errors import UserError, describe_os_error

err = Console(stderr=True)


def build_app() -> typer.Typer:
    """The benchmark itself, and every command of this folder."""
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode="rich",
        no_args_is_help=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True, epilog=run.EPILOG)(run.benchmark)
    add_commands(app, commands)
    return app


def add_commands(app: typer.Typer, package: ModuleType) -> None:
    """Add a command for each file of a package that has a function `command`, named as the file.

    A folder in it is a group of commands, and its docstring says what they are for. Files without
    such a function are what several commands share.
    """
    for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        module = importlib.import_module(f"{package.__name__}.{found.name}")
        name = found.name.replace("_", "-")
        if found.ispkg:
            group = typer.Typer(help=module.__doc__, no_args_is_help=True, rich_markup_mode="rich")
            add_commands(group, module)
            app.add_typer(group, name=name)
        elif hasattr(module, "command"):
            app.command(name)(module.command)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        Exit code: 0 good, 1 cells failed, 2 a user's mistake, 75 the time was over before all
            cells were done, 130 Ctrl-C.
    """
    command = typer.main.get_command(build_app())
    try:
        result = command.main(arguments, prog_name="run_benchmark.py", standalone_mode=False)
        return int(result or 0)
    except UserError as error:
        for problem in error.args:
            _say_error(problem)
        return 2
    except OSError as error:
        _say_error(describe_os_error(error))
        return 2
    except Exception as error:
        return _usage_error(error)


def _usage_error(error: Exception) -> int:
    """Show an error of the option parser in one line; anything else is a bug and is raised."""
    show_error: Any = getattr(error, "format_message", None)
    if show_error is None:
        raise error
    _say_error(show_error())
    return getattr(error, "exit_code", 2)


def _say_error(text: str) -> None:
    say(err, Text.assemble(("error:", "red"), " ", text))
