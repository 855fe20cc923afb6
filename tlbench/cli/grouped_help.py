"""Help texts: options under headings, those that only a config file may give, and groups of commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import click

from tlbench.cli.config_file import ConfigOnlyOption
from tlbench.errors import LONGEST_NAME

CONFIG_ONLY_HEADING = "Only in --config FILE.toml"


class GroupedCommand(click.Command):
    """A command whose ``--help`` lists its options under headings: ``click.command(cls=GroupedCommand, groups=...)``.

    Parameters
    ----------
    groups : mapping of str to sequence of str
        Heading to long names, such as ``{"Data": ("--dataset", "--split")}``, in the order they are shown. An option of
        no group is shown last, under ``Other``.
    """

    def __init__(self, *args: Any, groups: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.groups = groups

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a section for each heading."""
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        flags = {name: option for option in options if not isinstance(option, ConfigOnlyOption) for name in option.opts}
        grouped = [name for names in self.groups.values() for name in names]
        others = [name for name, option in flags.items() if not set(option.opts) & set(grouped)]
        sections: dict[str, list[click.Option]] = {
            **{heading: [flags[name] for name in names] for heading, names in self.groups.items()},
            "Other": list(dict.fromkeys(flags[name] for name in others)),
            CONFIG_ONLY_HEADING: [option for option in options if isinstance(option, ConfigOnlyOption)],
        }
        for heading, members in sections.items():
            records = [record for option in members if (record := option.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


class CommandGroup(click.Group):
    """A group whose ``--help`` has the first paragraph of each command in full, and which suggests names."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named first. Raises click's UsageError, with the nearest name, if there is none."""
        name, names = args[0], self.list_commands(ctx)
        if name not in names and not name.startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(name[:LONGEST_NAME].lower().replace("_", "-"), names, 1)
            way_out = f"Did you mean '{near[0]}'?" if near else f"There are {', '.join(names)}."
            raise click.UsageError(f"No such command '{name}'. {way_out}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, each with what it does; click itself would cut that to one line."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, " ".join((command.help or "").split("\n\n")[0].split())))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
