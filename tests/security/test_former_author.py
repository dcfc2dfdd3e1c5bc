"""An author whose role in the list has ended keeps the text and the sums of a notice, and no family (T-33)."""

import pytest

from core.notices import attachments
from models import Attachment, Choice, Notice, Question, TrackedLink, Wording
from tests.security import addresses
from tests.security.access import ROLES, guarded_routes
from tests.security.walk import canaries_of, leaks, tables_of
from tests.security.world import canaries_in

AUTHOR = next(role for role in ROLES if role.name == "viewer of b")
RESULTS = {"answer", "delivery", "delivery_membership", "letter", "reminder", "membership", "person"}


def own_words(notice: int) -> set[str]:
    """Return the canaries in the words and files of the author."""
    questions = Question.select(Question.id).where(Question.notice == notice)
    rows = [
        *(row for table in (Wording, Attachment, TrackedLink) for row in table.select().where(table.notice == notice)),
        *Question.select().where(Question.notice == notice),
        *Choice.select().where(Choice.question.in_(questions)),
    ]
    files = [attachments.existing_path(row) for row in Attachment.select().where(Attachment.notice == notice)]
    texts = [*(str(row.__data__) for row in rows), *(path.read_text("latin-1") for path in files)]
    return {word for text in texts for word, _owner, _level in canaries_in(text)}


@pytest.mark.proves("T-33")
@pytest.mark.xdist_group("readers")
def test_a_former_author_sees_and_answers_for_no_family(walker):
    notice = walker.world.numbers["a"]["sent"]
    Notice.update(by=walker.world.users[AUTHOR.name]).where(Notice.id == notice).execute()
    walker.keep_state()
    words, found, shown = own_words(notice), [], set()
    for route in guarded_routes(walker.app):
        if addresses.main_kind(route) not in ("sent", "reply"):
            continue
        url = addresses.address(walker.world, route, "a")
        data = addresses.form_of(walker.world, route, "a") if route.method == "POST" else None
        answer, changes = walker.ask(AUTHOR, route.method, url, data=data)
        shown |= {word for word, _owner, _level in canaries_of(answer)} & words
        more = set(leaks(AUTHOR, answer)) - words
        if answer.status_code >= 500 or more or tables_of(changes) & RESULTS:
            found.append(
                f"{route.key}: {answer.status_code}, shows {sorted(more)}, changes {sorted(tables_of(changes))}"
            )
    walker.keep_counts("readers-author")
    assert not found, "\n".join(found)
    assert shown, "the author still sees the text"
