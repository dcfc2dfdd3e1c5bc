"""`python -m cli …`: the same commands without the web application; the supervisor starts its parts this way."""

from cli import LazyCommands

main = LazyCommands(help="Kairan on the terminal.")

if __name__ == "__main__":
    main(prog_name="kairan")
