"""Suggest the domain that was meant: `gmial.com`, `docomo.ne.co`, `ezweb.ne,jp`, `.con`.

Only domains of mail providers and carriers are suggested, and endings that no domain has. The caller asks; an address is
never changed by itself.
"""

import re
import unicodedata

_CARRIERS = (
    *("docomo.ne.jp", "ezweb.ne.jp", "au.com", "uqmobile.jp", "softbank.ne.jp", "i.softbank.jp", "vodafone.ne.jp"),
    *("ymobile.ne.jp", "ymobile1.ne.jp", "y-mobile.ne.jp", "emnet.ne.jp", "willcom.com", "pdx.ne.jp", "wcm.ne.jp"),
    *("disney.ne.jp", "rakumail.jp", "rakuten.jp", "mopera.net", "emobile.ne.jp", "jp-t.ne.jp", "dwmail.jp"),
)
_PROVIDERS = (
    *("gmail.com", "yahoo.co.jp", "icloud.com", "outlook.jp", "outlook.com", "hotmail.co.jp", "hotmail.com"),
    *("live.jp", "live.com", "msn.com", "yahoo.com", "yahoo.ne.jp", "ymail.ne.jp", "me.com", "mac.com", "aol.com"),
    *("aol.jp", "googlemail.com", "nifty.com", "biglobe.ne.jp", "so-net.ne.jp", "ocn.ne.jp", "plala.or.jp"),
    *("dion.ne.jp", "eonet.ne.jp", "ybb.ne.jp", "jcom.home.ne.jp", "jcom.zaq.ne.jp", "zaq.ne.jp", "odn.ne.jp"),
    *("excite.co.jp", "infoseek.jp", "goo.jp", "goo.ne.jp", "livedoor.com", "hi-ho.ne.jp", "tiki.ne.jp"),
    *("commufa.jp", "asahi-net.or.jp", "auone-net.jp", "protonmail.com", "proton.me", "naver.com", "qq.com", "163.com"),
)
_NO_TYPO = frozenset(
    (
        *("mail.com", "email.com", "ymail.com", "hmail.com", "gmx.com", "gmx.de", "softbank.co.jp", "softbank.jp"),
        *("rocketmail.com", "hotmail.fr", "hotmail.de", "outlook.fr", "outlook.de", "yahoo.fr", "yahoo.de", "kddi.com"),
        *("yahoo-corp.jp", "googlemail.jp", "nttdocomo.com", "nifty.ne.jp", "live.cn", "126.com", "docomo-cs.co.jp"),
    )
)
"""Real domains beside a known one."""
_KNOWN = frozenset((*_CARRIERS, *_PROVIDERS))
_BY_NAME: dict[str, str] = {}
for _domain in (*_CARRIERS, *_PROVIDERS):
    _BY_NAME.setdefault(_domain.partition(".")[0], _domain)
_COMMON_MISTAKES = {
    **dict.fromkeys(("icould.com", "iclould.com", "icoud.com"), "icloud.com"),
    **dict.fromkeys(("i.softbank.ne.jp", "i.softbank.co.jp", "i.softbank.com"), "i.softbank.jp"),
    **dict.fromkeys(("au.ne.jp", "au.co.jp", "au.jp"), "au.com"),
}
_SHORTEST_NAME = 5
"""Letters of a label that is compared by distance; a shorter one stands too near to other domains."""

_WRONG_ENDINGS = {
    **dict.fromkeys(
        ("con", "cmo", "ocm", "comm", "coom", "cpm", "vom", "xom", "cim", "c0m", "coml", "ccom", "cm", "om", "come"),
        "com",
    ),
    **dict.fromkeys(("nte", "ney", "met", "nett"), "net"),
    **dict.fromkeys(("jpp", "jjp", "jpn", "kp", "jo", "pj", "jap", "jp1", "ip", "hp"), "jp"),
}
_REAL_ENDINGS = frozenset(("cm", "om", "kp", "jo", "hp"))
"""Of the endings above, those that a country has: they count behind `co`, `ne` and the like, or behind a known name."""
_SECOND_LEVEL = frozenset(("co", "ne", "or", "ac", "ed", "go", "gr", "lg", "ad"))
_SUFFIX = re.compile(r"(?:\.(?:co|ne|or|com|net|org|jp|ad|go|ac))+$")


def suggest_address(typed: str) -> str:
    """Return the address that was probably meant; '' if nothing is odd or no guess is near."""
    text = re.sub(r"\s", "", unicodedata.normalize("NFKC", typed)).replace("。", ".")
    local, at, domain = re.sub("@{2,}", "@", text.strip("<>")).rpartition("@")
    if not at or not local or "@" in local or not domain:
        return ""
    meant = suggest_domain(domain.lower())
    if not meant and "@@" in text:
        meant = domain
    return f"{local}@{meant}" if meant else ""


def suggest_domain(domain: str) -> str:
    """Return the domain that was probably meant; '' if it is right or unknown. Lower case."""
    plain = re.sub(r"[.,、，;:／/]+", ".", domain).strip(".")
    if not re.fullmatch(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*", plain):
        return ""
    meant = _nearest(plain)
    return meant if meant != domain else ""


def _nearest(domain: str) -> str:
    """Return the known domain near to a clean one; the domain itself, with a real ending, if none is."""
    if domain in _KNOWN or domain in _NO_TYPO or domain in _COMMON_MISTAKES:
        return _COMMON_MISTAKES.get(domain, domain)
    parents = [domain.partition(".")[2]]
    if any(parent in _KNOWN for parent in parents):
        return domain  # a subdomain: t.vodafone.ne.jp, aa.em-net.ne.jp
    ended = _mend_ending(domain)
    if ended in _KNOWN:
        return ended
    name = _SUFFIX.sub("", ended)
    if len(name) >= _SHORTEST_NAME and (known := _BY_NAME.get(name)):
        return known
    near = [
        known
        for known in sorted(_KNOWN)
        if max(map(len, known.split("."))) >= _SHORTEST_NAME and is_one_edit_apart(ended, known)
    ]
    if near:
        return min(near, key=lambda known: known not in ("gmail.com", "yahoo.co.jp", "docomo.ne.jp"))
    by_name = [
        known for stem, known in _BY_NAME.items() if len(stem) >= _SHORTEST_NAME and is_one_edit_apart(name, stem)
    ]
    if name != ended and by_name and "." not in name:
        return by_name[0]
    return ended


def _mend_ending(domain: str) -> str:
    *rest, ending = domain.split(".")
    meant = _WRONG_ENDINGS.get(ending, "")
    if meant == "jp" and rest and (rest[-1] in _SECOND_LEVEL or ending not in _REAL_ENDINGS):
        return ".".join((*rest, "jp"))
    if meant and meant != "jp" and (ending not in _REAL_ENDINGS or f"{'.'.join(rest)}.{meant}" in _KNOWN):
        return ".".join((*rest, meant))
    if rest and rest[-1] in ("co", "ne") and ending in ("co", "com", "ne") and len(rest) > 1:
        return ".".join((*rest, "jp"))
    return domain


def is_one_edit_apart(one: str, other: str) -> bool:
    """Say whether one letter was left out, added, replaced, or exchanged with its neighbour."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    rest, other_rest = one[start:], other[start:]
    if len(one) != len(other):
        longer, shorter = (rest, other_rest) if len(one) > len(other) else (other_rest, rest)
        return longer[1:] == shorter
    return rest[1:] == other_rest[1:] or (rest[:2] == other_rest[1::-1] and rest[2:] == other_rest[2:])
