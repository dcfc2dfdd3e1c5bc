"""What must hold of every table, whoever adds one."""

import peewee
import pytest

import models

TABLES = [one for one in vars(models).values() if isinstance(one, type) and issubclass(one, models.BaseModel)]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_no_default_is_another_field(table):
    """In a table with a field named `list`, `default=list` is that field."""
    assert [one.name for one in table._meta.sorted_fields if isinstance(one.default, peewee.Node)] == []
