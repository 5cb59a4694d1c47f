"""A notebook's declared parameters as options of its command."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from olrunbook.cli.gates import gate_options
from olrunbook.project.params import Parameter

# What the values are called inside, so that a parameter may be named as it likes.
VALUE = "value_"

_TAKEN = {"help", "json", "parameter"}  # options of every notebook; -p reaches these
_OF_GATES = {"gate", "approve_all", "reason"}  # options of those with a stage
_ARGS = "olrunbook.args"


class NotebookCommand(click.Command):
    """The command of one notebook; it remembers its words for the completion of -p."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words as they are and go on."""
        ctx.meta[_ARGS] = list(args)
        return super().parse_args(ctx, args)


def words_of(parameter: Parameter) -> dict[str, str]:
    """Return what can be typed for a parameter; empty: anything of its type."""
    words = ("true", "false") if parameter.kind == "bool" else parameter.choices
    return dict.fromkeys(map(str, words), "")


def options_of(parameters: dict[str, Parameter]) -> list[click.Parameter]:
    """Return the options of a notebook's command, in the order of its declarations."""
    staged = any(p.kind == "Stage" for p in parameters.values())
    taken = _TAKEN | (_OF_GATES if staged else set())
    options = [_option(p) for p in parameters.values() if p.name not in taken]

    def pairs(
        ctx: click.Context, _option: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer a name, and after a name its choices."""
        args: list[str] = ctx.meta.get(_ARGS, [])
        if args[-1:] in (["-p"], ["--parameter"]):
            return _offer({p.name: p.help for p in parameters.values()}, incomplete)
        if args and args[-1] in parameters:
            return _offer(words_of(parameters[args[-1]]), incomplete)
        return []

    return [
        *options,
        click.Option(
            ["-p", "--parameter", "given"],
            nargs=2,
            multiple=True,
            metavar="NAME VALUE",
            help="Set a parameter, as with papermill; text is kept as typed.",
            shell_complete=pairs,
        ),
        *(gate_options() if staged else []),
        click.Option(["--json", "as_json"], is_flag=True, help="Print run.json."),
    ]


def _option(parameter: Parameter) -> click.Parameter:
    """Return a parameter's option; its value is judged by `project.params.check`."""
    words = words_of(parameter)
    return click.Option(
        [f"--{parameter.name.replace('_', '-')}", VALUE + parameter.name],
        metavar=f"[{'|'.join(words)}]" if words else parameter.kind.upper(),
        shell_complete=lambda ctx, param, incomplete: _offer(words, incomplete),
        help=_help(parameter),
    )


def _offer(words: dict[str, str], incomplete: str) -> list[CompletionItem]:
    """Return the words that begin as typed, with their help."""
    return [
        CompletionItem(word, help=text or None)
        for word, text in words.items()
        if word.startswith(incomplete)
    ]


def _help(parameter: Parameter) -> str:
    default: Any = parameter.default
    if parameter.kind == "App" and len(parameter.choices) == 1:
        (default,) = parameter.choices  # a default of another catalog gives way to it
    shown = f"[default: {default}]" if default not in ("", None) else ""
    if parameter.required:
        shown = "[required]"
    return f"{parameter.help} {shown}".strip()
