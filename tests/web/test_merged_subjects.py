"""A subject with merge fields, wherever a page names the notice: nobody reads double braces (N-13)."""

import pytest

from models import Wording
from tests import cast_notices
from tests.web.notice_factory import get_page


@pytest.fixture
def sent(school):
    made = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    Wording.update(subject="{{学校名}}から{{保護者氏名}}様へ").where(Wording.notice == made.notice).execute()
    return made


@pytest.mark.parametrize(
    "path",
    [
        "/notices/{n}",
        "/notices/{n}/board",
        "/notices/{n}/phone",
        "/notices/{n}/remind",
        "/notices",
        "/history",
        "/notices/{n}/text",
        "/notices/{n}/record",
        "/history/{n}/incident",
        "/figures/{n}",
        "/members/{person}",
        "/",
        "/notices/{n}/correct",
    ],
)
def test_pages_name_a_notice_as_it_is_read(as_, school, sent, path):
    person = sent.deliveries["石川 直樹"].person_id
    text = get_page(as_("守"), path.format(n=sent.notice.id, person=person))
    assert "かえで原小学校から〔" in text and "{{学校名}}" not in text
