"""Decorated words: what may stand in a letter, whatever was pasted (X-15), and the complete text of it (T-16)."""

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail.html import links, render_html, sanitizer, text_part
from mail.html.render_html import CountedLink

SEAL = "p-" + "a" * 32
ALLOWED = {"div", "h1", "blockquote", "ul", "ol", "li", "br", "strong", "em", "del", "a", "img"}


class Seen(HTMLParser):
    """Every tag and attribute as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data


def made(html: str, known=frozenset({SEAL})) -> str:
    """Return cleaned HTML, and see to it that nothing stands in it that a letter may not hold."""
    clean = sanitizer.sanitize_html(html, known).html()
    for tag, attributes in Seen(clean).found:
        assert tag in ALLOWED, clean
        assert set(attributes) <= {"a": {"href"}, "img": {"src", "alt"}}.get(tag, set()), clean
        assert re.match(r"https?://[a-z0-9.\[]|mailto:|tel:", attributes.get("href", "tel:")), clean
        assert re.fullmatch(r"cid:p-[0-9a-f]{32}", attributes.get("src", f"cid:{SEAL}")), clean
    assert sanitizer.sanitize_html(clean, known).html() == clean, "cleaning it again changes it"
    return clean


def text(html: str, language: str = "ja") -> str:
    return text_part.render_text(sanitizer.sanitize_html(html, {SEAL}), language)


# ── what is hostile ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<scr<script>ipt>alert(1)</script>",
        "<style>*{background:url(https://evil.example/x)}</style>",
        '<img src="https://evil.example/pixel.gif" alt="見ました">',
        '<img src=x onerror="alert(1)">',
        '<img src="data:image/svg+xml;base64,PHN2Zz4=">',
        '<a href="javascript:alert(1)">押す</a>',
        '<a href="java&#x0A;script:alert(1)">押す</a>',
        '<a href=" &#14; javascript:alert(1)">押す</a>',
        '<a href="data:text/html,<script>alert(1)</script>">押す</a>',
        '<a href="vbscript:x">押す</a>',
        '<a href="//evil.example/">押す</a>',
        '<a href="https://school.example@evil.example/">押す</a>',
        '<a href="/notices/1/delete">押す</a>',
        '<div onclick="alert(1)" style="position:fixed;top:0" class="btn" id="main">読む</div>',
        "<svg><script>alert(1)</script></svg>",
        "<svg><foreignObject><iframe src=https://evil.example></iframe></foreignObject></svg>",
        "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
        "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
        '<form action="https://evil.example"><input name=password><button>送る</button></form>',
        "<iframe srcdoc='<script>alert(1)</script>'></iframe><object data=x></object><embed src=x>",
        "<meta http-equiv=refresh content='0;url=https://evil.example'><base href=https://evil.example>",
        "<!--[if mso]><script>alert(1)</script><![endif]--><![CDATA[<script>alert(1)</script>]]>",
        "<template><script>alert(1)</script></template><xmp><script>alert(1)</script></xmp>",
        "<a href='https://x.example/\"onmouseover=alert(1)'>x</a>",
        "<p/onclick=alert(1)//><b</b><i><u><details open ontoggle=alert(1)>",
        '<link rel=stylesheet href="https://evil.example/x.css"><body onload=alert(1)>',
        "{{<script>alert(1)</script>氏名}}",
    ],
)
def test_what_could_act_is_gone(hostile):
    clean = made(f"<div>前</div>{hostile}<div>後</div>")
    assert "alert" not in clean.replace("alert(1)&lt;", "") or "<script" not in clean
    assert "evil.example" not in clean and "javascript" not in clean and "onerror" not in clean.split("&lt;")[0]
    assert clean.startswith("<div>前") and ("後" in clean or "<!--" in hostile)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "<b>",
                "</b>",
                "<div>",
                "</div>",
                "<ul>",
                "<li>",
                "</ul>",
                "</li>",
                "<p>",
                "</p>",
                "<a href='https://e.jp/{{x}}'>",
                "</a>",
                "<h2>",
                "</h2>",
                "<blockquote>",
                "</blockquote>",
                "<br>",
                "\n",
                " ",
                "&nbsp;",
                "水筒",
                "{{氏",
                "名}}",
                "{",
                "}",
                "<table><tr><td>",
                "</table>",
                "<del>",
                "<img src='cid:p-" + "a" * 32 + "' alt='図'>",
                "<figure>",
                "<figcaption>",
                "<svg><style>",
                "<!--",
                "-->",
                "<script>",
                "&lt;b&gt;",
                "\"'",
                "<pre>",
                "https://e.jp/a。",
                "\u3000",
                "🎒",
            ]
        ),
        max_size=40,
    )
)
def test_any_tag_soup_becomes_words_of_ours(pieces):
    made("".join(pieces))


def test_no_word_is_lost_in_a_deep_nest():
    assert "水筒" in made("<div><b><i>" * 3000 + "水筒") and "水筒" in made("<ul><li>" * 3000 + "水筒")


def test_what_nobody_writes_does_not_keep_the_machine_busy():
    began = time.perf_counter()
    made("<div>" * 60_000 + "水筒")
    made("<b>あ" * 60_000)
    assert len(sanitizer.sanitize_html("あ" * 400_000).html()) <= sanitizer.MAX_HTML_CHARS + len("<div></div>")
    assert time.perf_counter() - began < 20


# ── what comes from Word, Outlook, LINE ──────────────────────────────────────────────────────────────────────────

WORD = """<html xmlns:o="urn:schemas-microsoft-com:office:office" xmlns:w="urn:schemas-microsoft-com:office:word">
<head><meta name=Generator content="Microsoft Word 15"><style><!-- p.MsoNormal {mso-style-parent:""} --></style>
<!--[if gte mso 9]><xml><w:WordDocument><w:View>Normal</w:View></w:WordDocument></xml><![endif]--></head>
<body lang=JA style='tab-interval:42.0pt'><!--StartFragment-->
<p class=MsoNormal align=center style='text-align:center'><b><span style='font-size:14.0pt;mso-fareast-font-family:
"MS 明朝"'>授業参観の<span lang=EN-US><o:p></o:p></span></span></b><b><span style='color:red'>ご案内</span></b></p>
<p class=MsoNormal><span lang=EN-US><o:p>&nbsp;</o:p></span></p>
<p class=MsoNormal><span style='font-family:"MS 明朝"'>日ごろより本校の教育活動に
ご理解をいただき、</span><span lang=EN-US>11</span><span>月</span><span lang=EN-US>14</span
><span>日に行います。</span></p>
<!--EndFragment--></body></html>"""


def test_word_leaves_its_words_and_nothing_of_itself():
    clean = made(WORD)
    assert clean == (
        "<div><strong>授業参観のご案内</strong><br><br>日ごろより本校の教育活動にご理解をいただき、11月14日に行います。</div>"
    )
    assert "mso" not in clean.lower()


def test_outlook_and_line():
    outlook = (
        '<div class="WordSection1"><p class="MsoNormal" style="margin:0">1行目<o:p></o:p></p></div><div>2行目</div>'
    )
    assert text(outlook) == "1行目\n\n2行目\n"
    line = '<span style="white-space:pre-wrap">集合は7:00です。<br>雨天中止。</span>'
    assert made(line) == "<div>集合は7:00です。<br>雨天中止。</div>"


def test_a_line_end_of_the_source_is_a_space_between_english_words_only():
    assert text("<p>indoor\n  shoes</p>") == "indoor shoes\n"
    assert text("<p>上履き\r\n  と水筒</p>") == "上履きと水筒\n"


def test_a_table_becomes_lines():
    assert text("<table><tr><th>日</th><th>時</th></tr><tr><td>11/7</td><td>14:00</td></tr></table>") == (
        "日 | 時\n11/7 | 14:00\n"
    )


def test_an_editors_picture_keeps_its_caption_as_the_words_for_it():
    figure = (
        f'<figure class="attachment" data-trix-attachment="{{&quot;x&quot;:1}}"><img src="/notices/7/pictures/{SEAL}" '
        'width="9"><figcaption class="attachment__caption">正門の "地図" &lt;新&gt;</figcaption></figure>'
    )
    clean = made(f"<div>下に{figure}あります</div>")
    assert f'<img src="cid:{SEAL}" alt="正門の &quot;地図&quot; ＜新＞">' in clean
    assert text(f"<div>下に{figure}あります</div>") == '下に\n［画像：正門の "地図" ＜新＞］\nあります\n'
    assert "img" not in made(figure, known=frozenset())


def test_plain_words_of_a_browser_without_script_keep_their_lines():
    assert made("1行目\n　2行目\n\n3 < 4 & 5") == "<div>1行目<br>　2行目<br><br>3 &lt; 4 &amp; 5</div>"


# ── merge fields and links ───────────────────────────────────────────────────────────────────────────────────────


def test_a_field_that_is_torn_by_tags_is_made_whole():
    """Otherwise its braces would stand in the HTML part while the text part is filled (D-25)."""
    assert made("<div>{{<b>氏</b>名}} 様</div>") == "<div>{{氏名}} 様</div>"
    assert made("<div>{<b>{ 氏名&nbsp;}</b>} 様</div>") == "<div>{{氏名}} 様</div>"
    assert made("<div><b>｛｛氏名｝｝</b></div>") == "<div><strong>{{氏名}}</strong></div>"


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("HTTPS://School.JP:8443/a b?x={{出席 番号}}#c", "https://school.jp:8443/a%20b?x={{出席 番号}}#c"),
        ("https://例え.jp/あ", "https://xn--r8jz45g.jp/%E3%81%82"),
        ("https://{{会社}}.example/", ""),
        ("https://x.example:port/", ""),
        ("ftp://x.example/", ""),
        ("mailto:office@school.example", "mailto:office@school.example"),
        ("tel:03-0000-0000", "tel:03-0000-0000"),
        ("https:\\\\evil.example", ""),
        ("", ""),
    ],
)
def test_where_a_link_may_lead(raw, kept):
    assert links.clean_href(raw) == kept


@pytest.mark.parametrize(
    "words",
    [
        "www.bank.example",
        "ここは bank.example です",
        "ｗｗｗ．ｂａｎｋ．ｅｘａｍｐｌｅ",
        "b<b>ank</b>.example",
        "銀行.example",
    ],
)
def test_a_link_names_no_other_host_without_its_beginning_either(words):
    """D-31, decision 9: people read 「www.example.jp」 as where a link leads, and so do filters."""
    clean = made(f'<div><a href="https://evil.example/x">{words}</a></div>')
    assert "bank.example" not in clean and "銀行" not in clean and clean.count("https://evil.example/x") >= 2
    shown = counted(clean)
    assert "リンクを開く" in shown and "evil.example" not in shown


@pytest.mark.parametrize("words", ["しおり.pdf", "shiori.PDF", "ver.2 のお知らせ", "11.24 の予定", "担任（3.14組）"])
def test_what_is_no_host_stays(words):
    clean = made(f'<div><a href="https://school.example/x">{words}</a></div>')
    assert f">{words}</a>" in clean and f">{words}</a>" in counted(clean)


def test_its_own_host_may_be_named_but_not_where_it_is_counted():
    clean = made('<div><a href="https://school.example/x">www.school.example</a></div>')
    assert ">www.school.example</a>" in clean
    assert "school.example" not in counted(clean).replace("kairan.school.example", "")


def counted(html: str) -> str:
    """Return the words as a letter whose links are counted has them."""
    ways = {
        url: CountedLink("https://kairan.school.example/c/t/1", "リンクを開く")
        for url in ("https://evil.example/x", "https://school.example/x")
    }
    return "".join(part.html for part in render_html.render_for_letter(html, "mail.example", ways))


def test_a_link_never_shows_another_host_than_its_own():
    assert made('<a href="https://evil.test/">https://school.example/</a>') == (
        '<div><a href="https://evil.test/">https://evil.test/</a></div>'
    )
    assert "https://www.school.example/a</a>" in made(
        '<a href="https://school.example/b">https://www.school.example/a</a>'
    )


def test_a_bare_address_becomes_a_link_and_stays_where_it_was_in_the_text():
    assert made("<div>見て https://e.jp/x。次</div>") == (
        '<div>見て <a href="https://e.jp/x">https://e.jp/x</a>。次</div>'
    )
    assert text("<div>見て https://e.jp/x。次</div>") == "見て https://e.jp/x。次\n"


def test_values_are_escaped_where_they_stand():
    link, picture = '<a href="https://e.jp/?n={{氏名}}">{{頁}}</a>', f'<img src="cid:{SEAL}" alt="{{{{氏名}}}}">'
    clean = sanitizer.sanitize_html(f"<div>{{{{氏名}}}}{link}{picture}</div>", {SEAL}).html()
    values = {"氏名": 'あ"<b>&\n', "頁": "https://x.jp/"}
    filled = render_html.fill_parts(render_html.render_for_letter(clean, "mail.example", {}), values)
    assert "あ&quot;&lt;b&gt;&amp;<br>" in filled
    assert 'href="https://e.jp/?n=%E3%81%82%22%3Cb%3E%26%0A"' in filled
    assert 'alt="あ&quot;&lt;b&gt;&amp;"' in filled and f'src="cid:{SEAL}@mail.example"' in filled
    assert filled.count("<a ") == 1  # an address within a link is no second one
    assert "{{" not in filled
    assert [one for one, _ in Seen(filled).found] == ["div", "br", "a", "img"]


def test_a_field_whose_name_holds_an_ampersand_is_filled():
    clean = sanitizer.sanitize_html("<div>{{PTA&amp;会費}}円</div>").html()
    assert render_html.fill_parts(render_html.render_for_letter(clean, "x", {}), {"PTA&会費": "300"}).endswith(
        ">300円</div>"
    )
    assert render_html.fill_parts(render_html.render_for_letter(clean, "x", {}), {}).endswith(
        ">{{PTA&amp;会費}}円</div>"
    )


# ── the text part ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-16")
def test_the_text_part_is_complete():
    """T-16: headings, items, addresses, what is struck out, pictures: all is said without HTML."""
    html = (
        "<h2>持ち物</h2><ul><li>水筒<ol><li>お茶</li><li>水</li></ol></li><li>帽子</li></ul><ol><li>一</li></ol>"
        '<blockquote>引用</blockquote><p>9:00<del>9:30</del><a href="https://e.jp/a">案内</a>と'
        '<a href="https://e.jp/b"><b>申込</b>書</a>。<a href="tel:03-1">03-1</a></p>'
    )
    assert text(html) == (
        "■ 持ち物\n\n・水筒\n　1. お茶\n　2. 水\n・帽子\n1. 一\n\n> 引用\n\n"
        "9:00［取り消し：9:30］案内と申込書。03-1\n「案内」：\nhttps://e.jp/a\n「申込書」：\nhttps://e.jp/b\n"
    )
    assert "[struck out: 9:30]" in text(html, "en") and "\n- 帽子\n" in text(html, "en")


def test_words_for_the_page_of_a_reader():
    clean = sanitizer.sanitize_html(f'<h1>題</h1><div>{{{{氏名}}}}<img src="cid:{SEAL}" alt="図"></div>', {SEAL}).html()
    shown = render_html.render_for_page(clean, {"氏名": "<花子>"}, {SEAL: "/r/abc/pictures/1"})
    assert shown == ('<h2>題</h2><div>&lt;花子&gt;<img src="/r/abc/pictures/1" alt="図" loading="lazy"></div>')
    assert "<img" not in render_html.render_for_page(clean, {}, {}) and "[図]" in render_html.render_for_page(
        clean, {}, {}
    )


# ── an attacker's words ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "pasted",
    [
        'h<a href="https://evil.example/">ttps://good.jp/login</a>',  # the link begins behind the first letter
        'goo<a href="https://evil.example/">d.jp</a>',
        '<a href="https://evil.example/">good&#8203;.jp</a>',  # signs of no width
        '<a href="https://evil.example/">https:&#8288;//good&shy;.jp/</a>',
        '<a href="https://evil.example/">&#8238;pj.doog</a>',  # turned round
        '<a href="https://evil.example/">info@good.jp</a>',
    ],
)
def test_no_trick_lets_a_link_show_where_it_does_not_lead(pasted):
    """X-15: also when only a part of the address is the link, or unseen signs stand in it."""
    clean = made(f"<p>{pasted}</p>")
    assert Seen(clean).words.endswith(("https://evil.example/", "https://evil.example//"))


def test_a_link_for_mail_shows_no_other_mailbox():
    assert "good" not in made('<p><a href="mailto:me@evil.example">info@good.jp</a></p>')
    assert ">info@good.jp</a>" in made('<p><a href="mailto:info@good.jp?subject=x">info@good.jp</a></p>')


def test_emoji_made_of_several_stay_whole_in_a_link():
    assert "👨\u200d👩\u200d👧" in made('<p><a href="https://a.example/">👨\u200d👩\u200d👧</a></p>')


def test_a_field_in_an_address_holds_nothing_that_could_end_the_address():
    """css-inline writes `>` in attributes as it is; behind it a parent's name would be filled in as words."""
    html = made('<p><a href="https://a.example/{{x>y}}{{氏名}}">z</a></p>')
    value = '" onmouseover="x'
    letter = render_html.fill_parts(render_html.render_for_letter(html, "a.example", {}), {"氏名": value})
    page = render_html.render_for_page(html, {"氏名": value}, {})
    for shown in (letter, page):
        assert [set(given) - {"style", "rel"} for tag, given in Seen(shown).found if tag == "a"] == [{"href"}]
        assert "%22%20onmouseover%3D%22x" in shown


@pytest.mark.parametrize(
    "pasted",
    [
        "<p>" + " " * 190_000 + "</p>",
        "<p>https://a.example/" + ")" * 190_000,
        f'<a href="https://a.example/{"a" * 1900}">' + "b.jp " * 39_000,
        f'<a href="https://a.example/{"a" * 1900}">' + "https://b.jp " * 15_000,
    ],
)
def test_no_words_take_long_or_grow_without_end(pasted):
    """Each took more than twenty seconds, or gigabytes, before; a slow machine gets ten seconds."""
    began = time.process_time()
    assert len(made(pasted)) < 2 * sanitizer.MAX_HTML_CHARS
    assert time.process_time() - began < 10


# ── markup made to hurt ──────────────────────────────────────────────────────────────────────────────────────────


def filled(unit: str, size: int = 200_000) -> str:
    """Return the unit again and again, each with a number of its own in place of `%d`."""
    one = max(1, len(unit) - 2 * unit.count("%d"))
    return "".join(unit.replace("%d", str(number)) for number in range(size // one))[:size]


NESTED = (
    *("<ul><li>", "<ol>", "<li>", "<dl><dd>", "<table>", "<table><tr><td>", "<blockquote>", "<div>", "<span>", "<x>"),
    *(
        "<font>",
        "<b>",
        "<b><p>",
        "<p><b></p>",
        "<b a=%d><p>x",
        "<p><b a=%d></p>",
        "<b a=%d></i>",
        "<font a=%d>x</p><p>",
    ),
    *(
        "<a><table>",
        "<table><b>",
        "<b a=%d><div>",
        "<i><div>",
        "<svg>",
        "<math><mi>",
        "<select>",
        "<h1>",
        "</p>",
        "<p>x",
    ),
)


@pytest.mark.parametrize("unit", NESTED)
def test_deep_and_open_markup_takes_no_long(unit):
    """Before the limit of depth, 90 kB of lists took 4 s, and 40 kB of open formatting elements made 56 MB of HTML."""
    html = filled(unit)
    began = time.process_time()
    sanitizer.sanitize_html(html)
    assert time.process_time() - began < 3
    limited = sanitizer._limit_depth(html)
    assert len(sanitizer._strip_active_content(limited)) < 30 * len(html)


def test_deep_lists_keep_their_words():
    depth = 3 * sanitizer.MAX_DEPTH
    html = "<ul><li>" * depth + "奥" + "</li></ul>" * depth + "<p>あと</p>"
    assert "奥" in sanitizer.sanitize_html(html).html() and "あと" in sanitizer.sanitize_html(html).html()


@pytest.mark.parametrize(
    "html",
    [
        "".join(f"<p>{number}" for number in range(500)),
        "<ul>" + "".join(f"<li>{number}" for number in range(500)) + "</ul>",
        "<table>" + "".join(f"<tr><td>{number}<td>x" for number in range(500)) + "</table>",
        "".join(f"<div><p>{number}<br></div>" for number in range(500)),
        "".join(f"<b><i>{number}</i></b><br>" for number in range(500)),
        "".join(f"<p><b>{number}</p></b>" for number in range(500)),
    ],
    ids=["p", "li", "td", "div", "b", "crossed"],
)
def test_end_tags_that_may_be_left_out_do_not_count_as_depth(html):
    assert sanitizer._limit_depth(html) == html
