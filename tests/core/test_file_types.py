"""What is taken as an attachment and what a photo may tell (decision 12, X-03, defences: uploads)."""

import pytest

from core.notices import file_types
from tests import files

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("しおり.pdf", files.PDF, "application/pdf"),
        ("bom.pdf", b"\xef\xbb\xbf" + files.PDF, "application/pdf"),
        ("newline.pdf", b"\r\n" + files.PDF, "application/pdf"),
        ("job.pdf", b"\x1b%-12345X@PJL\r\n" + files.PDF, "application/pdf"),
        ("late.pdf", bytes(1019) + files.PDF, "application/pdf"),
        ("photo.JPG", files.jpeg(), "image/jpeg"),
        ("photo.png", files.png(), "image/png"),
        ("photo.webp", files.webp(), "image/webp"),
        ("名簿.docx", files.office(), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.xlsx", files.office("xl/"), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("a.pptx", files.office("ppt/"), "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ],
)
def test_what_families_can_open_is_taken(name, content, kind):
    fit = file_types.check_file(name, content)
    assert (fit.name, fit.kind) == (name, kind)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("page.pdf", HTML, file_types.DISGUISED),
        ("page.svg", SVG, file_types._OTHER),
        ("photo.png", SVG, file_types.DISGUISED),
        ("page.html", HTML, file_types._OTHER),
        ("notice.pdf", b"MZ\x90\0" + bytes(60), file_types.DISGUISED),
        ("program.pdf", b"MZ\x90\0" + files.PDF, file_types.DISGUISED),
        ("page.pdf", b"<script>1</script>" + files.PDF, file_types.DISGUISED),
        ("too_late.pdf", bytes(1020) + files.PDF, file_types.DISGUISED),
        ("notice.pdf.exe", files.PDF, file_types.DISGUISED),
        ("notice.docx", files.PDF, file_types.DISGUISED),
        ("notice.pdf", files.jpeg(), file_types.DISGUISED),
        ("notice", files.PDF, file_types.DISGUISED),
        ("packed.zip", files.office("other/"), file_types._OTHER),
        ("notice.docx", files.office(word__vbaProject_dot_bin=b"x"), file_types._MACROS),
        ("notice.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", file_types._OLD_OFFICE),
        ("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0", file_types._APPLE),
        ("photo.jpg", b"\0\0\0\x18ftypheic\0\0\0\0", file_types._APPLE),
        ("photo.jpg", files.jpeg()[:40], file_types._BROKEN),
        ("broken.docx", b"PK\x03\x04nothing", file_types.DISGUISED),
        ("a.pdf", b"", "“%(name)s” is empty."),
    ],
)
def test_what_acts_or_pretends_is_refused_with_its_reason(name, content, sentence):
    with pytest.raises(file_types.UnfitFile) as refused:
        file_types.check_file(name, content)
    assert refused.value.message == sentence
    assert refused.value.message % refused.value.values


def test_a_photo_keeps_its_picture_and_loses_its_place():
    """The side that is up stays, or the picture would lie on its side."""
    colours = files.segment(0xE2, b"ICC_PROFILE\0\1\1colours")
    told = files.jpeg(
        files.exif(6),
        colours,
        files.segment(0xE2, b"MPF\0second"),
        files.segment(0xFE, files.SECRET),
        behind=files.jpeg(files.exif()),
    )
    clean = file_types.strip_metadata("image/jpeg", told)
    assert files.SECRET in told and files.SECRET not in clean
    assert colours in clean and clean.endswith(b"more\xff\xd9") and clean.count(b"picture") == 2
    assert b"Exif\0\0MM\0*" in clean and file_types._orientation(clean[clean.index(b"Exif\0\0") + 6 :]) == 6
    assert file_types.strip_metadata("image/jpeg", clean) == clean


def test_an_untold_photo_stays_as_it_is():
    fit = file_types.check_file("a.jpg", files.jpeg())
    assert fit.content == files.jpeg() and not fit.cleaned
    assert file_types.check_file("a.jpg", files.jpeg(files.exif(1))).content == files.jpeg()


def test_other_photos_lose_their_place_too():
    told = files.png(files.chunk(b"eXIf", files.SECRET), files.chunk(b"tEXt", files.SECRET))
    assert file_types.strip_metadata("image/png", told + b"behind" + files.SECRET) == files.png()
    clean = file_types.strip_metadata("image/webp", files.webp())
    assert files.SECRET not in clean and b"VP8 " in clean
    assert clean[20] == 0b0010_0000 and int.from_bytes(clean[4:8], "little") == len(clean) - 8


@pytest.mark.parametrize("whole", [files.jpeg(files.exif()), files.png(), files.webp()])
def test_a_photo_cut_anywhere_is_damaged_or_clean(whole):
    kind = file_types.detect_media_type(whole)
    for end in range(len(whole)):
        try:
            assert files.SECRET not in file_types.strip_metadata(kind, whole[:end])
        except file_types.DamagedPhoto:
            continue


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd.pdf", "passwd.pdf"),
        ("C:\\Users\\me\\遠足.pdf", "遠足.pdf"),
        ("a\u202efdp.exe", "afdp.exe"),
        (".pdf", "pdf"),
        ("a\r\nX: y.pdf", "aX_ y.pdf"),
        ('a<b>"c".pdf', "a_b_c_.pdf"),
        ("長" * 200 + ".pdf", "長" * 74 + ".pdf"),
        ("", "file"),
        ("..", "file"),
    ],
)
def test_names_are_safe_everywhere(name, safe):
    assert file_types.safe_filename(name) == safe


def test_the_ending_of_a_photo_follows_its_content():
    assert file_types.check_file("photo.jpg", files.png()).name == "photo.png"
