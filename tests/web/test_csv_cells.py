"""Every CSV file that leaves: no cell begins a formula in a spreadsheet, whatever a family or an organizer has typed."""

import ast
import csv
import io
import unicodedata

import pytest

from core.csv_cells import clean_cell, escape_formula
from core.notices import questions
from core.notices.questions import QuestionDraft
from models import Delivery, Person
from tests import cast
from tests.architecture.test_dependencies import MODULES
from tests.smarthost import begun

HOSTILE = (
    "=1+1",
    "＝1+1",
    "+1",
    "＋1",
    "-1",
    "－1",
    "@SUM",
    "＠SUM",
    " =1",
    "\u3000＝1",
    "\t=1",
    "\r=1",
    "\u200b=1",
    "'=1",
    "\xa0=1",
    "\x00=1",
    "\u2060=1",
    "\xad＝1",
    "\u061c@A1",
    "\u202e\u2066=1",
    "\u180e|cmd",
    "﹦1",
    "﹢1",
)
SIGNS = tuple("=+-@＝＋－＠﹦﹢﹣﹫|\t\r\n")


def is_formula(cell: str) -> bool:
    shown = "".join(sign for sign in cell if unicodedata.category(sign) not in ("Cc", "Cf", "Zs"))
    return shown.startswith(SIGNS) or cell.startswith(SIGNS)


@pytest.mark.parametrize("cell", HOSTILE)
def test_a_hostile_cell_is_guarded_and_read_back(cell):
    assert not is_formula(escape_formula(cell))
    assert clean_cell(escape_formula(clean_cell(cell))) == clean_cell(cell)


@pytest.mark.parametrize("cell", ["", "山田 花子", "a=b", "1-2", "03-1234-5678", "'引用'"])
def test_an_ordinary_cell_stays(cell):
    assert escape_formula(cell) == cell


def test_only_one_module_writes_csv():
    writers = {
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in ("writer", "DictWriter")
        and ast.unparse(node.value) == "csv"
    }
    assert writers == {"core.csv_cells"}


def test_no_file_of_any_page_holds_a_formula(school, as_, app):
    number = school.lists["1-1"].id
    for person, cell in zip(Person.select().order_by(Person.id), HOSTILE * 3, strict=False):
        Person.update(name=cell, kana=cell, phone=cell).where(Person.id == person.id).execute()
    notice = begun(school.users["守"], [school.lists["1-1"]], subject="＝1+1", read_confirmation=True)
    questions.save_questions(notice, [QuestionDraft("＝1+1", ("＠はい", " -いいえ"), unit="person")])
    assert Delivery.select().where(Delivery.notice == notice).exists()
    browser, seen = as_("守"), {}
    browser.post("/account/confirm/password", data={"password": cast.PASSWORD})
    values = {"number": notice.id}
    for rule in app.url_map.iter_rules():
        if ".csv" in rule.rule or rule.endpoint == "lists.export_csv":
            found = {"number": number} if rule.endpoint.startswith("lists.") else values
            url = rule.rule.replace("<int:number>", str(found["number"]))
            if rule.endpoint.startswith("lists."):
                url = f"/lists/{number}" + rule.rule.partition("<int:number>")[2]
            answer = browser.post(url) if "POST" in rule.methods else browser.get(url)
            assert (answer.status_code, answer.mimetype) == (200, "text/csv"), url
            seen[rule.endpoint] = answer.get_data().decode("utf-8-sig")
    assert len(seen) >= 6, sorted(seen)
    assert sum("'" in text for text in seen.values()) >= 3
    for endpoint, text in seen.items():
        for row in csv.reader(io.StringIO(text, newline="")):
            assert [cell for cell in row if is_formula(cell)] == [], endpoint
