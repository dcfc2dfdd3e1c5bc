"""Whether a mail comes from the domain of its From: signatures, the word of our own server (T-31)."""

import time

import dkim
import pytest

import clock
from mail import auth_results
from mail.auth_results import AuthResult, authenticate_message
from tests.cast_mail import dns, key, mail, signed

POST = mail("hanako@example.jp", "list@mail.school.example", "練習中止", "雨のため中止です。\n")
OURS = "mx.school.example"


def proven(raw: bytes, domain: str = "example.jp", lookup=None, authserv_id: str = "") -> AuthResult:
    return authenticate_message(raw, domain, lookup or dns("example.jp"), authserv_id, now=clock.now())


def test_an_aligned_signature_proves():
    assert proven(signed(POST, "example.jp")) == AuthResult("dkim")


def test_line_ends_of_a_pipe_do_no_harm():
    assert proven(signed(POST, "example.jp").replace(b"\r\n", b"\n")).method == "dkim"


def test_nothing_proves_an_unsigned_mail():
    assert not proven(POST)


def test_a_changed_mail_is_not_proven():
    assert not proven(signed(POST, "example.jp").replace("中止".encode(), "決行".encode()))


def test_the_signature_of_another_organization_proves_nothing():
    """From is typed by whoever sends: anybody's valid signature must not speak for another domain."""
    raw = signed(POST, "evil.com")
    assert not proven(raw, lookup=dns("evil.com"))
    assert authenticate_message(raw, "evil.com", dns("evil.com"), now=clock.now()), "the signature itself is right"


@pytest.mark.parametrize(
    ("signing", "author", "speaks"),
    [
        ("example.jp", "mail.example.jp", True),
        ("mail.example.jp", "example.jp", True),
        ("a.example.jp", "b.example.jp", False),
        ("co.jp", "example.co.jp", False),
        ("tokyo.jp", "school.tokyo.jp", False),
        ("shibuya.tokyo.jp", "school.shibuya.tokyo.jp", False),
        ("jp", "example.jp", False),
        ("ample.jp", "example.jp", False),
        ("EXAMPLE.JP", "example.jp", True),
        ("", "example.jp", False),
    ],
)
def test_who_speaks_for_whom(signing, author, speaks):
    assert auth_results.is_aligned(signing, author) is speaks


def test_strict_alignment_is_respected():
    raw = signed(POST, "mail.example.jp")
    assert proven(raw, lookup=dns("mail.example.jp"))
    strict = dns("mail.example.jp", __dmarc_example_jp="v=DMARC1; p=none; adkim=s")
    assert strict("_dmarc.example.jp"), "the policy is published"
    assert not proven(raw, lookup=strict)


def hand_signed(raw: bytes, **options: object) -> bytes:
    made = raw.replace(b"\n", b"\r\n")
    header = dkim.sign(made, b"s1", b"example.jp", key("example.jp"), **options)
    return header + made


def test_a_signature_over_a_part_of_the_body_is_refused():
    """l= lets anybody append to a signed mail (RFC 6376 8.2)."""
    raw = hand_signed(POST, length=True)
    assert dkim.verify(raw, dnsfunc=lambda name, timeout=5: dns("example.jp")("s1._domainkey.example.jp")[0].encode())
    assert not proven(raw)


def stamped(**tags: int) -> bytes:
    """Sign with t= and x= at a distance from now, in seconds."""
    now = int(time.time())
    made = POST.replace(b"\n", b"\r\n")
    signature = dkim.DKIM(made)
    plain = signature.gen_header

    def with_tags(fields, *rest, **options):
        fields = [(name, value) for name, value in fields if name.decode() not in tags]
        at = [name for name, _ in fields].index(b"h")
        fields[at:at] = [(name.encode(), str(now + seconds).encode()) for name, seconds in tags.items()]
        return plain(fields, *rest, **options)

    signature.gen_header = with_tags
    return signature.sign(b"s1", b"example.jp", key("example.jp")) + made


@pytest.mark.parametrize(
    ("tags", "valid"),
    [
        ({"t": 0, "x": 3600}, True),
        ({"t": -7200, "x": -60}, False),
        ({"t": -172800, "x": -86400}, False),
        ({"t": 1800}, True),
        ({"t": 7200}, False),
    ],
)
def test_a_signature_of_another_time_is_refused(tags, valid):
    raw = stamped(**tags)
    assert all(f" {name}=".encode() in raw for name in tags)
    assert bool(proven(raw)) is valid


@pytest.mark.parametrize(
    ("names", "covered"),
    [
        ("from:to:subject:date", {"from", "to", "subject", "date"}),
        ("from:from:to:to:subject:subject", {"from", "to", "subject"}),
        ("from:cc:x-absent:date", {"from", "date"}),
    ],
)
def test_which_fields_a_signature_covers(names, covered):
    raw = hand_signed(POST, include_headers=names.encode().split(b":"))
    assert set(proven(raw).covered) == covered
    assert "cc" not in proven(b"Cc: list@mail.school.example\r\n" + raw).covered


def test_of_several_signatures_the_one_that_covers_most_counts():
    weak = hand_signed(POST, include_headers=[b"from", b"date"])
    both = hand_signed(POST).partition(b"From: ")[0] + weak
    assert {"subject", "to"} <= proven(both).covered and not {"subject", "to"} & proven(weak).covered
    assert {"subject", "to"} <= proven(weak.partition(b"From: ")[0] + hand_signed(POST)).covered


def test_a_field_that_only_our_parser_sees_is_not_covered():
    """The name of a field may not be read by the signature check and by us in two ways."""
    raw = hand_signed(POST, include_headers=[b"from", b"to", b"cc", b"subject"])
    for line in (b"Cc : a@example.jp\r\n", b"From x\r\nCc: a@example.jp\r\n", b"X: y\rCc: a@example.jp\r\n"):
        found = proven(line + raw)
        assert "cc" not in found.covered


def test_sha1_is_refused():
    assert proven(hand_signed(POST))
    raw = hand_signed(POST, signature_algorithm=b"rsa-sha1")
    assert not proven(raw)


@pytest.mark.parametrize("extra", [b"Subject: something else\r\n", b"From: boss@example.jp\r\n", b"To: x@y.jp\r\n"])
def test_a_second_header_in_front_of_the_signed_one_is_refused(extra):
    """A signature covers the last field of a name, mail programs show the first."""
    assert not proven(extra + signed(POST, "example.jp"))


def test_a_silent_dns_proves_nothing_and_says_so():
    assert authenticate_message(
        signed(POST, "example.jp"), "example.jp", dns(silent=True), now=clock.now()
    ) == AuthResult(dns_failed=True)


@pytest.mark.parametrize(
    "text", ["v=DKIM1; p=", "v=DKIM1; k=rsa; p=AAAA", "rubbish", "v=DKIM1; k=unknown; p=x", "\udcff"]
)
def test_broken_keys_prove_nothing(text):
    assert not proven(signed(POST, "example.jp"), lookup=lambda name: [text] if "domainkey" in name else [])


@pytest.mark.parametrize(
    "value", [b"", b"v=1; a=rsa-sha256; d=example.jp; h=from", b";;;=", b"v=1; d=example.jp" * 999]
)
def test_broken_signatures_prove_nothing(value):
    assert not proven(b"DKIM-Signature: " + value + b"\r\n" + POST)


# ── what our own mail server says ────────────────────────────────────────────────────────────────────────────────


def said(results: str, server: str = OURS, below: bytes = b"") -> bytes:
    field = f"Authentication-Results: {server}; {results}\r\n".encode()
    return field + b"Received: from x by mx.school.example; now\r\n" + below + POST.replace(b"\n", b"\r\n")


@pytest.mark.proves("T-29")
@pytest.mark.parametrize(
    ("results", "how"),
    [
        ("dmarc=pass header.from=example.jp", "dmarc"),
        ("dmarc=pass (p=reject dis=none) header.from=example.jp", "dmarc"),
        ("spf=pass smtp.mailfrom=hanako@example.jp", "spf"),
        ("spf=pass smtp.mailfrom=evil.com", ""),
        ("dkim=pass header.d=example.jp", "dkim"),
        ("dkim=pass header.i=@evil.com", ""),
        ("dkim=fail header.d=example.jp; spf=softfail smtp.mailfrom=example.jp", ""),
        ("spf=pass smtp.mailfrom=example.jp; dmarc=fail header.from=example.jp", ""),
        ("dmarc=pass header.from=evil.com", ""),
        ("none", ""),
        ("=;;=;(((", ""),
    ],
)
def test_the_word_of_our_own_mail_server(results, how):
    """T-31; carriers do not sign, their mail passes by SPF (inbound 4)."""
    assert proven(said(results), lookup=dns(), authserv_id=OURS).method == how


def test_the_word_of_others_counts_nothing():
    right = "dmarc=pass header.from=example.jp"
    assert proven(said(right), authserv_id=OURS)
    assert not proven(said(right), authserv_id=""), "nobody's, until the operator names one"
    assert not proven(said(right, server="mx.school.example.evil.com"), authserv_id=OURS)
    forged = f"Authentication-Results: {OURS}; {right}\r\n".encode()
    below = b"Received: from evil by mx.school.example; now\r\n" + forged + POST
    assert not proven(below, authserv_id=OURS), "below the Received of our own server anybody may have written it"


def test_of_several_results_a_failure_wins():
    raw = said("spf=pass smtp.mailfrom=example.jp")
    worse = f"Authentication-Results: {OURS}; spf=fail smtp.mailfrom=example.jp\r\n".encode()
    assert not proven(worse + raw, lookup=dns(), authserv_id=OURS)
    assert not proven(raw.replace(b"Received", worse + b"Received", 1), lookup=dns(), authserv_id=OURS)


def test_a_mail_that_fails_a_published_policy_is_forged():
    lookup = dns(__dmarc_example_jp="v=DMARC1; p=reject")
    assert proven(said("dmarc=fail header.from=example.jp"), lookup=lookup, authserv_id=OURS).dmarc_failed
    weak = dns(__dmarc_example_jp="v=DMARC1; p=none")
    assert not proven(said("dmarc=fail header.from=example.jp"), lookup=weak, authserv_id=OURS).dmarc_failed


def test_a_policy_is_found_at_a_parent_but_not_at_a_public_suffix():
    parent = dns(__dmarc_example_co_jp="v=DMARC1; p=reject")
    assert auth_results.find_policy("mail.example.co.jp", parent) == {"v": "dmarc1", "p": "reject"}
    assert auth_results.find_policy("example.co.jp", dns(__dmarc_co_jp="v=DMARC1; p=reject")) == {}
    assert auth_results.find_policy("example.jp", dns(__dmarc_example_jp="v=spf1 -all")) == {}


@pytest.mark.parametrize(
    "line", [b"a" * 60_000, b"a " * 30_000, b"a" * 20_000 + b"\r\n" + b"b" * 40_000, b"a\t" * 30_000]
)
def test_a_header_line_without_a_colon_takes_no_time(line):
    """Anybody can send one: 30 kB took 14 s, and nothing else was done meanwhile."""
    began = time.process_time()
    assert not authenticate_message(
        b"From: a@example.jp\r\n" + line + b"\r\n\r\nx", "example.jp", dns("example.jp"), now=clock.now()
    )
    assert time.process_time() - began < 1


def test_words_before_a_field_on_its_line_make_none():
    found = [name for name, _ in auth_results._fields(b"From: a@example.jp\r\nx Subject: y\rSubject: z\r\n\r\n")]
    assert found == [b"from", b"subject"]  # what stands behind a bare CR may be a line to others, so it counts
