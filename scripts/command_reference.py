"""docs/commands.md: the conventions of the command line, and the help of every command as it is printed.

    python scripts/command_reference.py            # writes the page
    python scripts/command_reference.py --check    # exit code 1 if it is not current

A test holds the page to the commands.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from tlbench.cli.main import group

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"
WIDTH = 88  # columns of the help texts; the site shows that many without scrolling

INTRODUCTION = """\
# Commands

Every command and option, as `--help` prints it. `python scripts/command_reference.py` writes this page, and a test
holds it to the commands.

## Conventions

- **Results go to stdout, progress and warnings to stderr.** Without a terminal, a long command writes a line every
  minute in place of the bar, with the pace and the time left.
- **`--json`** prints what a command found or did as one document. Infinite numbers are texts in it (`"inf"`), because
  JSON has none.
- **Exit codes**: 0 all well, 1 finished but something is to be looked at, 2 could not be done. An error is one line
  that names the value and the way out.
- **Names may be nearly right.** A command, metric, control, fault, checkpoint, observer or data set that is misspelt,
  or spelt as tables spell it (`LSE-C`), is answered with the name that is meant. Nothing is guessed.
- **What was stopped goes on** when the same command is given again.
- **Results are not overwritten silently.** `tlbench score` replaces a result only if it makes every number of it again,
  of the same videos. Otherwise it names the difference; choose another `--out` or `--name`, or say `--overwrite`.
  Videos that were missing or damaged may be there the next time.
- **One run writes a folder at a time.** A second one is told who has it (`--take-over`).

## Completion

The shell completes commands, options, and every value that tlbench can list: data sets and their splits, clips,
checkpoints, metrics and presets, observers with their views, detectors, devices, generators, controls, faults, recipes,
the systems of a board and the methods of a study, also within lists with commas. Where a name or a file may be given it
completes both. Put the line for your shell into its start file:

| shell | file | line |
| --- | --- | --- |
| bash (4.4 or newer) | `~/.bashrc` | `eval "$(_TLBENCH_COMPLETE=bash_source tlbench)"` |
| zsh | `~/.zshrc` | `eval "$(_TLBENCH_COMPLETE=zsh_source tlbench)"` |
| fish | `~/.config/fish/completions/tlbench.fish` | `_TLBENCH_COMPLETE=fish_source tlbench \\| source` |
"""


def commands(parent: click.Group, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it, groups before their commands."""
    context = click.Context(parent, info_name="tlbench")
    for name in parent.list_commands(context):
        command = parent.get_command(context, name)
        assert command is not None
        yield (*names, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))


def help_of(names: tuple[str, ...], command: click.Command) -> str:
    """What ``tlbench NAMES --help`` prints."""
    context = click.Context(
        command,
        info_name=" ".join(("tlbench", *names)),
        help_option_names=["-h", "--help"],
        terminal_width=WIDTH,
        max_content_width=WIDTH,
    )
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for names, command in commands(group):
        level = "#" * (1 + len(names))
        parts.append(f"{level} {' '.join(names)}\n\n```text\n{help_of(names, command)}\n```\n")
    return "\n".join(parts)


def main(words: list[str]) -> None:
    """Write the page, or compare it."""
    if words not in ([], ["--check"]):
        sys.exit("usage: python scripts/command_reference.py [--check]")
    if words:
        if PAGE.read_text("utf-8") != page():
            sys.exit(f"{PAGE.name} is not current; run: python scripts/command_reference.py")
        return
    PAGE.write_text(page(), "utf-8", newline="\n")
    print(f"{PAGE} written")


if __name__ == "__main__":
    main(sys.argv[1:])
