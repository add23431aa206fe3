"""Writes the reference pages: packages from their docstrings, the language from its specification, passes from the
preset, the command line from its parser."""

import importlib
import inspect
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PACKAGES = ("pipeline", "runtime", "behavior", "evidence", "store", "ir", "primitives")
"""Packages with an API for users, from the front door to the foundations."""


def write_reference(folder: Path) -> None:
    """Replaces ``folder`` by the reference pages."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pages = {name: package_page(f"exegesis.{name}") for name in PACKAGES}
    pages |= {"language": language_page(), "passes": passes_page(), "cli": command_line_page()}
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def package_page(module: str) -> str:
    """A page with everything the package lists in ``__all__``."""
    options = "   :members:\n   :imported-members:\n   :exclude-members: model_config\n"
    return f"# `{module}`\n\n```{{eval-rst}}\n.. automodule:: {module}\n{options}```\n"


def language_page() -> str:
    """Every operation of the language, from the tables that check programs."""
    from exegesis.ir.levels import SPECS
    from exegesis.ir.spec import OpSpec

    def row(spec: OpSpec) -> str:
        cells = [f"`{spec.op.partition('.')[2]}`", spec.doc, *map(_codes, (spec.inputs, spec.attrs, spec.tensors))]
        return _row(*cells, _codes(spec.gives))

    sections = [
        "# The language\n",
        "Each operation with its inputs, the attributes that a reader sees, and the tensors it may hold. A name that "
        "ends in `?` may be left out, one that ends in `*` repeats. Tensor-level operations are those of the exported "
        "graph, `tensor.aten.<name>.<overload>`, and are not listed.\n",
    ]
    for level in ("input", "component", "symbolic"):
        specs = [spec for spec in SPECS.values() if spec.op.startswith(f"{level}.")]
        head = [_row("operation", "meaning", "inputs", "attributes", "tensors", "gives"), _row(*["---"] * 6)]
        sections.append("\n".join([f"## {level.capitalize()}\n", *head, *map(row, specs)]) + "\n")
    return "\n".join(sections)


def passes_page() -> str:
    """The presets in order, each pass as its own file describes it."""
    from exegesis.pipeline.presets import ARRAYS, STANDARD

    standard, arrays = ("; ".join(f"`{step.name}`" for step in preset) for preset in (STANDARD, ARRAYS))
    sections = [f"# Passes\n\nFor behaviours over sequences: {standard}.\n\nFor behaviours over arrays: {arrays}.\n"]
    for step in dict.fromkeys((*STANDARD, *ARRAYS)):
        described = inspect.cleandoc(importlib.import_module(type(step).__module__).__doc__ or "")
        labelled = re.sub(
            r"^(What|Why valid|Refuses when|Guarantee|Example):", r"\n**\1:**", described, flags=re.MULTILINE
        )
        sections.append(f"## `{step.name}`\n\nStage: {step.stage}. Guarantee: {step.guarantee.value}.\n\n{labelled}\n")
    return "\n".join(sections)


def command_line_page() -> str:
    """Every command with its arguments and options, from the parser that runs them."""
    import typer

    from exegesis.cli import app

    sections = _subcommands("exegesis", typer.main.get_command(app))
    return "\n".join(["# Command line\n", *sections])


def _subcommands(name: str, group: Any) -> list[str]:
    sections = []
    for word, command in group.commands.items():
        full = f"{name} {word}"
        sections += _subcommands(full, command) if hasattr(command, "commands") else [_command_section(full, command)]
    return sections


def _command_section(name: str, command: Any) -> str:
    rows = [_parameter_row(parameter) for parameter in command.params]
    head = [_row("argument or option", "meaning", "default"), _row(*["---"] * 3)]
    table = "\n".join([*head, *rows]) if rows else ""
    return f"## `{name}`\n\n{(command.help or '').strip()}\n\n{table}\n"


def _parameter_row(parameter: Any) -> str:
    is_option = parameter.param_type_name == "option"
    names = _codes((*parameter.opts, *parameter.secondary_opts))
    text = " ".join((getattr(parameter, "help", None) or "").split())
    default = parameter.default
    plain = isinstance(default, str | int | float) and not isinstance(default, bool)
    argument = f"`{parameter.metavar or parameter.name.upper()}`"
    return _row(names if is_option else argument, text, f"`{default}`" if plain else "")


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
