"""Our addresses: a whole domain, one mailbox with a plus, one mailbox without (T-26, RFC 5233)."""

import pytest

from mail.address import OwnAddresses, id_domain, make_verp_tag

SECRET = b"s" * 32
WHOLE = OwnAddresses("mail.school.example", "mail.school.example")
PLUS = OwnAddresses("gmail.example", "kairan.school.example", "kaede@gmail.example", True)
PLAIN = OwnAddresses("provider.example", "kairan.school.example", "kaede@provider.example")


def test_a_list_has_its_own_address_a_plus_or_none():
    assert WHOLE.address("1-1") == "1-1@mail.school.example"
    assert PLUS.address("1-1") == "kaede+1-1@gmail.example"
    assert PLAIN.address("1-1") == "kaede@provider.example" and not PLAIN.has_list_addresses


def test_with_one_mailbox_letters_come_from_it_alone():
    """Providers let nobody send under another address: From and the envelope are the mailbox."""
    for own in (PLUS, PLAIN):
        assert own.sender("1-1") == own.return_path(7, SECRET) == own.mailbox
    assert WHOLE.sender("1-1") == "1-1@mail.school.example"
    tag = make_verp_tag(7, "return", SECRET)
    assert WHOLE.return_path(7, SECRET) == f"b-{tag}@mail.school.example"


@pytest.mark.parametrize(
    ("own", "address", "local"),
    [
        (WHOLE, "<1-1@MAIL.school.example>", "1-1"),
        (WHOLE, "1-1@sub.mail.school.example", None),
        (PLUS, "Kaede+1-1@gmail.example", "1-1"),
        (PLUS, '"kaede+1-1"@gmail.example', "1-1"),
        (PLUS, "kaede@gmail.example", ""),
        (PLUS, "kaede+@gmail.example", ""),
        (PLUS, "somebody@gmail.example", None),
        (PLUS, "kaedehara+1-1@gmail.example", None),
        (PLAIN, "kaede+1-1@provider.example", ""),
        (PLAIN, "@provider.example", None),
        (PLAIN, "", None),
    ],
)
def test_addresses_are_known_again(own, address, local):
    assert own.local_part_of(address) == local


def test_other_people_at_the_same_provider_are_no_loop():
    assert PLUS.owns("kaede+anything@gmail.example") and PLUS.owns("x@kairan.school.example")
    assert not PLUS.owns("parent@gmail.example")


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("Kairan.School.example", "kairan.school.example"),
        ("192.168.1.5", "ka-ede.gmail.example"),
        ("localhost", "ka-ede.gmail.example"),
        ("", "ka-ede.gmail.example"),
    ],
)
def test_message_ids_bear_a_name_that_nobody_else_uses(host, domain):
    assert id_domain("ka.ede@gmail.example", host) == domain
