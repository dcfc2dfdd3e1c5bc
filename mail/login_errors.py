"""Why a provider refuses a login: some take no ordinary password from programs any more, and say so (RFC 6749, 7628).

Kairan logs in by user and password. Providers that offer OAuth alone are told apart, so that nobody types the right
password ten times.
"""

import re

from i18n import N_

APP_PASSWORD_NEEDED = N_(
    "The provider takes no ordinary password from programs. Make an app password there. If it has none, as with "
    "Microsoft 365 and Outlook.com (OAuth only), please use a mailbox at another provider."
)

_APP_PASSWORD_HINT = re.compile(
    r"basic ?auth|oauth|app(?:lication)?[- ](?:specific )?password|web login required|less secure app|modern auth",
    re.IGNORECASE,
)


def login_failure_message(said: str, usual: str) -> str:
    """Return the sentence for a refused login: `usual`, or that passwords are not taken. said: the server's words."""
    return APP_PASSWORD_NEEDED if _APP_PASSWORD_HINT.search(said) else usual
