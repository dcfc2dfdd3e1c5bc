"""The page that says what a button will do before it does it; works without script."""

from collections.abc import Sequence

from flask import render_template, url_for

from models import Notice


def render_confirmation(
    notice: Notice,
    *,
    title: str,
    sentences: Sequence[str],
    button: str,
    way_back: str = "notices.show",
    red: bool = True,
    facts: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the page that asks; its one button posts to the same address."""
    back = url_for(way_back) if way_back == "notices.index" else url_for(way_back, number=notice.id)
    return render_template(
        "notices/confirm_action.html",
        notice=notice,
        title=title,
        sentences=sentences,
        facts=facts,
        button=button,
        way_back=back,
        red=red,
    )
