"""Writes the reference pages: one per public package from its docstrings, one for the command line from its parser."""

import importlib.util
import shutil
from pathlib import Path

import click

PUBLIC = ("pipeline", "runtime", "behavior", "evidence", "store", "ir", "primitives")
"""Packages with an API for users, from the front door to the foundations."""


def write_reference(folder: Path) -> None:
    """Replaces ``folder`` by the pages of every public package there is, and of the command line."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in PUBLIC:
        if importlib.util.find_spec(f"exegesis.{name}") is not None:
            (folder / f"{name}.md").write_text(package_page(f"exegesis.{name}"), encoding="utf-8")
    if importlib.util.find_spec("exegesis.cli") is not None:
        (folder / "cli.md").write_text(command_line_page(), encoding="utf-8")


def package_page(module: str) -> str:
    """A page with everything the package lists in ``__all__``."""
    return (
        f"# `{module}`\n\n"
        f"```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n   :imported-members:\n   :show-inheritance:\n```\n"
    )


def command_line_page() -> str:
    """Every command with its arguments and options, from the parser that runs them."""
    import typer
    from exegesis.cli import app

    command = typer.main.get_command(app)
    sections = ["# Command line\n"]
    subcommands = getattr(command, "commands", {})
    sections += [_command_section(f"exegesis {name}", sub) for name, sub in subcommands.items()]
    return "\n".join(sections)


def _command_section(name: str, command: click.Command) -> str:
    rows = [_parameter_row(parameter) for parameter in command.params]
    table = "\n".join(["| argument or option | meaning | default |", "|---|---|---|", *rows]) if rows else ""
    return f"## `{name}`\n\n{(command.help or '').strip()}\n\n{table}\n"


def _parameter_row(parameter: click.Parameter) -> str:
    is_option = parameter.param_type_name == "option"
    names = ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))
    shown = names if is_option else f"`{parameter.human_readable_name}`"
    text = " ".join((getattr(parameter, "help", None) or "").split()).replace("|", "\\|")
    default = parameter.default
    plain = isinstance(default, str | int | float) and not isinstance(default, bool)
    return f"| {shown} | {text} | {f'`{default}`' if plain else ''} |"
