"""Files inside a letter: what a mail program gets out of it, signed, and made once (decision 12)."""

import email
import os
import time
from dataclasses import replace
from email.policy import default as policy

import dkim
import pytest

from mail import mime_encoding
from mail.compose import LetterRenderer
from mail.dkim_signer import LARGE_BODY_BYTES, DkimSigner, dns_record, generate_key
from tests import files
from tests.mail.sample_letter import HANAKO, NOTICE

NAMES = ("遠足のしおり（保護者の皆様へ）と持ち物の一覧についてのお知らせ.pdf", 'a "b" %20.pdf')


@pytest.fixture
def form():
    sent = ((NAMES[0], "application/pdf", files.PDF), (NAMES[1], "image/png", files.png()))
    return replace(NOTICE, files=("しおり.pdf (1 KB)",), attachments=mime_encoding.attachment_parts(sent))


@pytest.mark.parametrize("asks", [False, True])
def test_a_mail_program_finds_the_words_and_each_file(form, asks):
    form = form if asks else replace(form, questions=())
    raw = LetterRenderer(form).letter(HANAKO)
    read = email.message_from_bytes(raw, policy=policy)
    words, *found = list(read.iter_parts())
    assert read.get_content_type() == "multipart/mixed" and read.defects == []
    assert [one.get_filename() for one in found] == list(NAMES)
    assert [one.get_content() for one in found] == [files.PDF, files.png()]
    assert {one.get_content_disposition() for one in found} == {"attachment"}
    plain = words if words.get_content_type() == "text/plain" else words.get_body(("plain",))
    assert "このメールに付いています。" in plain.get_content()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert raw.count(b"\n") == raw.count(b"\r\n")


@pytest.mark.parametrize("size", [10, LARGE_BODY_BYTES + 10_000])
def test_small_and_large_letters_are_signed_so_that_others_verify_them(size):
    pem = generate_key()
    blob = mime_encoding.attachment_parts([("b.pdf", "application/pdf", os.urandom(size))])
    raw = LetterRenderer(replace(NOTICE, attachments=blob)).letter(HANAKO)
    signed = DkimSigner("k1", NOTICE.mail_domain, pem).sign(raw)
    look_up = lambda name, timeout=5: dns_record(pem).encode()  # noqa: E731
    assert dkim.verify(signed, dnsfunc=look_up)
    assert not dkim.verify(signed.replace(b"filename*0*=UTF-8''b", b"filename*0*=UTF-8''x"), dnsfunc=look_up)


def test_a_large_letter_costs_little_more_than_its_bytes():
    """Encoded once; each letter lays 4 MB behind its words and signs them as they stand."""
    blob = mime_encoding.attachment_parts([("a.pdf", "application/pdf", os.urandom(3 * 2**20))])
    made, signer = (
        LetterRenderer(replace(NOTICE, attachments=blob)),
        DkimSigner("k1", NOTICE.mail_domain, generate_key()),
    )
    started = time.process_time()
    for _ in range(5):
        signer.sign(made.letter(HANAKO))
    each_ms = (time.process_time() - started) / 5 * 1000
    print(f"{each_ms:.1f} ms of processor time a letter of 4 MB")
    assert each_ms < 60
