"""Name the device of a session in words that its owner knows."""

OS_TOKENS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "Chromebook"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("Linux", "Linux"),
)
BROWSER_TOKENS = (
    ("Edg", "Edge"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)


def describe_device(agent: str) -> str:
    """Return system and browser of a User-Agent, 「iPhone · Safari」; empty if it says neither."""
    found = [next((name for part, name in table if part in agent), "") for table in (OS_TOKENS, BROWSER_TOKENS)]
    return " · ".join(one for one in found if one)
