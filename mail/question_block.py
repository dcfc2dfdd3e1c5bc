"""Questions in a letter: each choice, or each day, with its own web address at the end of the text (T-49).

Each address stands alone on its line, with its label on the line before. The same words make the buttons of the HTML
part. `page`: the web address under which the reader answers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from i18n import say
from mail import merge


@dataclass(frozen=True, slots=True)
class LetterQuestion:
    """A question in a letter. choices: number (as it stands in the web address) and words.

    until: the deadline in words, "" if there is none. days: of a date finding, each with the number that says yes to
    it; all are answered on one page. who: a sentence on who answers once, "" if every household does.
    """

    title: str
    until: str
    choices: tuple[tuple[int, str], ...]
    days: tuple[tuple[int, str], ...] = ()
    who: str = ""


def text_lines(language: str, ask: LetterQuestion, page: str) -> Iterator[str]:
    """Return a question, how it is answered, and each choice with its own web address (T-49)."""
    yield say(language, "[Question] %(question)s", question=merge.one_line(ask.title))
    yield from _how_to_answer(language, ask)
    yield ""
    point = "・" if language == "ja" else "- "
    for number, day in ask.days:
        yield f"{point}{merge.one_line(day)}"
        yield f"{page}/{number}"
    if ask.days:
        yield say(language, "All days on one page:")
        yield page
        return
    for number, text in ask.choices:
        yield f"{number}. {merge.one_line(text)}"
        yield f"{page}/{number}"


def _how_to_answer(language: str, ask: LetterQuestion) -> Iterator[str]:
    """Return how a question is answered and until when."""
    if ask.days:
        yield say(
            language,
            "Open the link of a day that suits you, choose for the other days there too, and press the button.",
        )
    else:
        yield say(language, "Open the link that is right, and press the button there.")
    yield from answer_terms(language, ask)


def answer_terms(language: str, ask: LetterQuestion) -> Iterator[str]:
    """Say who answers, where that is not every household, and until when."""
    if ask.who:
        yield ask.who
    if ask.until:
        yield say(language, "Until %(day)s; you can change your answer until then.", day=ask.until)


def answer_buttons(language: str, ask: LetterQuestion, page: str) -> Iterator[tuple[str, str]]:
    """Return the same as buttons: words and web address."""
    for number, text in ask.days or ask.choices:
        yield merge.one_line(text), f"{page}/{number}"
    if ask.days:
        yield say(language, "All days on one page"), page
