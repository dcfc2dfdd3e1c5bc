"""A letter pasted from Word on a phone, with a picture, and what arrives of it in a text program (X-15, T-16)."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests import files
from tests.e2e.conftest import PHONE, fits_the_width, has_no_axe_faults, log_in
from tests.real.external_programs import find_program

pytestmark = pytest.mark.xdist_group("journeys")

WORD = """<html xmlns:o="urn:schemas-microsoft-com:office:office" xmlns:w="urn:schemas-microsoft-com:office:word">
<head><meta name=Generator content="Microsoft Word 15"><style><!-- p.MsoNormal {mso-style-parent:""} --></style></head>
<body lang=JA style='tab-interval:42.0pt'><!--StartFragment-->
<p class=MsoNormal><b><span style='font-size:14.0pt;mso-fareast-font-family:"MS 明朝"'>授業参観の
ご案内</span></b></p>
<p class=MsoNormal><span lang=EN-US><o:p>&nbsp;</o:p></span></p>
<p class=MsoNormal><span style='font-family:"MS 明朝"'>日ごろより本校の教育活動に
ご理解をいただき、</span><a href="https://school.example/sankan"><span lang=EN-US>くわしい案内</span></a></p>
<p class=MsoListParagraph style='mso-list:l0 level1 lfo1'><![if !supportLists]><span lang=EN-US
style='font-family:Wingdings'><span style='mso-list:Ignore'>l<span style='font:7.0pt'>&nbsp;&nbsp;</span></span></span>
<![endif]><span>上履き</span></p>
<p class=MsoListParagraph style='mso-list:l0 level1 lfo1'><![if !supportLists]><span lang=EN-US
style='font-family:Wingdings'><span style='mso-list:Ignore'>l<span style='font:7.0pt'>&nbsp;&nbsp;</span></span></span>
<![endif]><span>下足入れ</span></p>
<!--EndFragment--></body></html>"""
PASTE = """html => {
  const data = new DataTransfer();
  data.setData("text/html", html);
  document.querySelector("trix-editor").dispatchEvent(
    new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
}"""
TEXT = [
    "授業参観のご案内",
    "日ごろより本校の教育活動にご理解をいただき、くわしい案内",
    "https://school.example/sankan",
    "・上履き",
    "・下足入れ",
    "［画像：正門から体育館までの地図］",
    "鈴木",
    "見ました",
]


def to_the_words(page, list_name: str = "1年1組") -> None:
    page.goto("/")
    page.get_by_role("button", name=re.compile("新しいお知らせ")).click()
    page.wait_for_url(re.compile("/recipients"))
    page.locator("[name=lists]").locator("xpath=..").filter(has_text=list_name).locator("input").check()
    page.locator("#next").click()
    page.wait_for_url(re.compile("/words"))


def test_a_letter_from_word_arrives_whole_for_who_reads_text(visit, house, tmp_path) -> None:
    page = visit(PHONE)
    log_in(page, "花子")
    to_the_words(page)
    page.fill("[name=subject]", "授業参観")
    page.click("[formaction$=rich-text]")
    page.wait_for_selector("trix-editor")
    assert not page.locator("textarea[name=html]").is_visible()
    page.locator("trix-editor").click()
    page.evaluate(PASTE, WORD)
    page.locator("#more > summary").click()
    page.locator("#fields summary").click()
    page.get_by_role("button", name="児童氏名").click()
    _compose_japanese(page)
    page.locator("#picture-part summary").click()
    page.set_input_files("#picture", {"name": "地図.png", "mimeType": "image/png", "buffer": files.png()})
    page.fill("#alt", "正門から体育館までの地図")
    page.click("#put-picture")
    page.wait_for_selector("trix-editor figcaption")
    page.locator("#fields summary").click()
    fits_the_width(page)
    has_no_axe_faults(page)
    _survives_a_closed_tab(page)
    page.locator("#next").click()
    page.wait_for_url(re.compile("/check"))
    _is_shown_three_ways(page)
    page.locator("#go").click()
    page.wait_for_url(re.compile(r"/notices/\d+$"))
    letter = house.wait_letters(1, to="suzuki@example.com", subject="授業参観")[0]
    raw = tmp_path / "letter.eml"
    raw.write_bytes(letter.as_bytes().replace(b"\r\n", b"\n"))
    _reads_whole_in_mutt(raw, tmp_path)
    _reads_whole_in_w3m(letter, tmp_path)
    _is_on_the_readers_page(visit, letter)


def _compose_japanese(page) -> None:
    """Type as a Japanese keyboard does; the draft saves itself in between and takes nothing from under the hands."""
    page.locator("trix-editor").focus()
    keyboard = page.context.new_cdp_session(page)
    keyboard.send("Input.imeSetComposition", {"text": "すいとう", "selectionStart": 4, "selectionEnd": 4})
    with page.expect_response(re.compile("/words"), timeout=8000):
        pass  # the autosave of what came before
    keyboard.send("Input.imeSetComposition", {"text": "水筒", "selectionStart": 2, "selectionEnd": 2})
    keyboard.send("Input.insertText", {"text": "水筒"})
    page.wait_for_function("document.querySelector('#html').value.includes('水筒')")
    assert "すい" not in page.input_value("#html")


def _survives_a_closed_tab(page) -> None:
    with page.expect_response(re.compile("/words"), timeout=8000):
        page.fill("[name=subject]", "授業参観のご案内")
    page.goto(page.url)
    page.wait_for_selector("trix-editor figcaption")
    said = page.input_value("#html")
    assert "<strong>授業参観のご案内</strong>" in said and "<li>上履き</li>" in said and "{{児童氏名}}" in said
    assert "mso" not in said and "水筒" in said and "正門から体育館までの地図" in said


def _is_shown_three_ways(page) -> None:
    frame = page.frame_locator("#looks iframe")
    assert frame.locator("strong").inner_text() == "授業参観のご案内"
    assert frame.locator("img").evaluate("image => image.naturalWidth") == 1
    fits_the_width(page)
    page.click("#look-dark")
    page.wait_for_selector("iframe.dark")
    assert (
        page.frame_locator("iframe.dark").locator(".mail").evaluate("mail => getComputedStyle(mail).backgroundColor")
        == "rgb(32, 29, 25)"
    )
    page.click("#look-text")
    page.wait_for_selector("#looks .body")
    assert "［画像：正門から体育館までの地図］" in page.inner_text("#looks")


def _reads_whole_in_mutt(raw: Path, folder: Path) -> None:
    """A text program shows the text part as it is."""
    box = folder / "box"
    box.write_bytes(b"From kairan Mon Oct 12 00:00:00 2026\n" + raw.read_bytes() + b"\n")
    (folder / "muttrc").write_text(
        'set pager="cat >shown"\nset charset=utf-8\nset folder=.\nset quit=yes\nset pager_stop=yes\nset wait_key=no\n'
        'unset help\nset prompt_after=no\nset display_filter=""\nalternative_order text/plain\n'
        'push "<display-message><quit>"\n'
    )
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm", "HOME": str(folder)}
    command = [find_program("mutt", "mutt"), "-n", "-F", "muttrc", "-R", "-f", str(box)]
    subprocess.run(
        ["script", "-qec", " ".join(command), "/dev/null"],
        cwd=folder,
        env=environment,
        timeout=30,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    shown = (folder / "shown").read_text("utf-8")
    assert [one for one in TEXT if one not in shown] == [], shown


def _reads_whole_in_w3m(letter, folder: Path) -> None:
    """And who has the HTML part shown in a terminal misses nothing either."""
    page = folder / "page.html"
    page.write_text(letter.get_body(("html",)).get_content(), encoding="utf-8")
    command = [
        find_program("w3m", "w3m"),
        "-dump",
        "-T",
        "text/html",
        "-I",
        "UTF-8",
        "-O",
        "UTF-8",
        "-cols",
        "200",
        str(page),
    ]
    shown = subprocess.run(
        command, capture_output=True, timeout=30, env={**os.environ, "HOME": str(folder)}
    ).stdout.decode()
    words = [one.removeprefix("・") for one in TEXT if not one.startswith(("https://school", "［画像"))]
    assert [one for one in words if one not in shown] == [], shown
    assert "正門から体育館までの地図" in shown


def _is_on_the_readers_page(visit, letter) -> None:
    """The family's page: the same words, the picture, nothing from elsewhere."""
    address = re.search(r"https?://[!-~]+/r/[a-z2-7]+", letter.get_body(("plain",)).get_content())[0]
    page = visit(PHONE)
    page.goto(address)
    assert page.locator(".rich strong").inner_text() == "授業参観のご案内"
    page.locator(".rich img").scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.rich img').naturalWidth === 1")
    fits_the_width(page)
    has_no_axe_faults(page)
