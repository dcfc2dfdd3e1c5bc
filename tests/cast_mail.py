"""Mails for the tests: plain ones, signed ones, bounces of our own letters; a DNS that answers from a dict."""

from base64 import b64encode
from email.utils import format_datetime
from functools import cache

import clock
from mail import auth_results
from mail.dkim_signer import DkimSigner, dns_record, generate_key

DOMAIN = "mail.school.example"


def mail(sender: str, to: str, subject: str = "", text: str = "", **headers: str) -> bytes:
    """Return a mail as people write it, UTF-8. Headers by name with _ for -; lines end in LF."""
    given = {
        "From": sender,
        "To": to,
        "Subject": _word(subject),
        "Date": today(),
        "Message-ID": f"<{abs(hash((sender, to, subject, text)))}@client.example>",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Transfer-Encoding": "8bit",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return ("".join(f"{name}: {value}\n" for name, value in given.items()) + "\n" + text).encode()


def today() -> str:
    """Return a Date of this day, the same for all mails: the same mail written twice has the same bytes."""
    return format_datetime(clock.now().replace(hour=0, minute=0, second=0, microsecond=0))


def _word(text: str) -> str:
    return text if text.isascii() else f"=?utf-8?b?{b64encode(text.encode()).decode()}?="


@cache
def key(domain: str) -> bytes:
    """Return the DKIM key of a domain of the tests, one for the whole run."""
    return generate_key()


def signed(raw: bytes, domain: str) -> bytes:
    """Return a mail with the DKIM signature of a domain, as its provider would send it (CRLF)."""
    return DkimSigner("s1", domain, key(domain)).sign(raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def dns(*signing: str, silent: bool = False, **texts: str) -> auth_results.TxtLookup:
    """Return a DNS in which these domains publish their key; texts by name with _ for dots (two for one _)."""
    known = {f"s1._domainkey.{domain}": [dns_record(key(domain))] for domain in signing}
    known |= {name.replace("__", "\0").replace("_", ".").replace("\0", "_"): [text] for name, text in texts.items()}

    def lookup(name: str) -> list[str]:
        if silent:
            raise auth_results.DnsError("silent")
        return known.get(name.lower(), [])

    return lookup


def body(raw: bytes) -> str:
    """Return the decoded text of a letter of ours."""
    import email
    import email.policy

    return email.message_from_bytes(raw, policy=email.policy.default).get_body().get_content()
