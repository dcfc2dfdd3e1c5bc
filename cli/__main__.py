"""`python -m cli …`: the same commands without the web application; the supervisor starts its parts this way."""

import click

import cli


@click.group()
def main() -> None:
    """Kairan on the terminal."""


for command in cli.commands():
    main.add_command(command)

if __name__ == "__main__":
    main()
