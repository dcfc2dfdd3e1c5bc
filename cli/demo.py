"""The sample school: filled in once, with random passwords printed."""


def fill_demo() -> None:
    """Fill the tables with the sample school."""


COMMANDS = ()
