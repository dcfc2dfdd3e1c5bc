"""The tables of Kairan, in six sections, with one-row questions and named queries that return a Select.

Tables know no mail and no web, nor which engine keeps them: that is `database`, whose names stand here too.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self, TypeVar

from peewee import (
    SQL,
    AutoField,
    BlobField,
    BooleanField,
    CharField,
    DateField,
    DeferredForeignKey,
    Expression,
    ForeignKeyField,
    IntegerField,
    Model,
    ModelSelect,
    TextField,
    fn,
)
from playhouse.hybrid import hybrid_property

import clock
from database import JsonField, UtcMillisField, db, load_rows, new_join_code

DELIVERABLE_STATES = ("fine", "refusing")  # states of an address to which letters are sent


if TYPE_CHECKING:
    M = TypeVar("M", bound=Model)

    class Rows(ModelSelect[M]):
        """What the stubs of peewee leave out: a select of tuples or dicts gives no rows of the table."""

        def tuples(self, as_tuple: bool = True) -> ModelSelect[Any]: ...  # type: ignore[override]
        def dicts(self, as_dict: bool = True) -> ModelSelect[Any]: ...  # type: ignore[override]
        def first(self, n: int = 1) -> Any: ...  # type: ignore[override]


def _one_of(name: str, column: str, values: Iterable[str]) -> SQL:
    """Return a CHECK constraint that allows these values. Migrations replace it by its name."""
    return SQL(f'CONSTRAINT "{name}" CHECK ({column} IN ({", ".join(repr(str(one)) for one in values)}))')


class BaseModel(Model):
    """What every table shares."""

    id = AutoField()

    if TYPE_CHECKING:

        @classmethod
        def select(cls, *fields: Any) -> "Rows[Self]": ...
        @classmethod
        def get_or_create(cls, **fields: Any) -> tuple[Self, bool]: ...

    class Meta:
        database = db
        legacy_table_names = False


# ── 1 House ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Organization(BaseModel):
    """The one school or club of this installation (row 1), and what its administrators set on pages."""

    name = CharField(default="")
    postal = CharField(default="")
    contact = CharField(default="")
    language = CharField(default="ja")
    mail_domain = CharField(default="")
    base_url = CharField(default="")
    smtp = CharField(default="")
    mail_mode = CharField(
        default=""
    )  # how mail comes back: own, relay, collected, mailbox (`core.system.mail_settings`)
    imap = CharField(default="")
    mailbox = CharField(default="")
    plus = BooleanField(default=False)
    recipient_header = CharField(default="")
    hour_rate = IntegerField(default=0)
    rate = IntegerField(default=300)
    domain_rate = IntegerField(default=120)
    hold_s = IntegerField(default=180)
    hold_urgent_s = IntegerField(default=20)
    requires_approval = BooleanField(default=False)  # every notice is looked at by a second person; urgent ones never
    carriers = JsonField(default=list)  # own words on the phones' filters (`core.signup.carrier_help`)
    public_urgent = BooleanField(default=False)  # the current urgent text stands on a page for everybody
    late_s = IntegerField(default=1800)
    set_up_at = UtcMillisField(null=True)
    domain_until = DateField(null=True)  # when the domain's registration runs out
    server_until = DateField(null=True)  # when the rent of the server runs out
    renewal_reminders_sent = CharField(default="")  # which reminders of these dates have been sent
    handover = TextField(default="")  # what whoever comes next must know, in the administrators' own words
    last_health_email = CharField(default="")  # the month of the last 「元気です」 letter, YYYY-MM
    purge_before_year = IntegerField(default=0)  # letters from before it are deleted from `purge_starts_at` on
    purge_starts_at = UtcMillisField(null=True)

    @classmethod
    def load_row(cls) -> "Organization":
        """Return the one row, made on first use."""
        rows = load_rows(cls, "SELECT * FROM organization WHERE id = 1")
        return rows[0] if rows else cls.get_or_create(id=1)[0]


class User(BaseModel):
    """An organizer who logs in. `name` is typed at login and shown as who did something."""

    name = CharField()
    name_key = CharField(unique=True)
    email = CharField(null=True)
    email_key = CharField(null=True, unique=True)
    pending_email = CharField(null=True)  # a new address that its letter has not confirmed yet
    password = CharField(null=True)
    language = CharField(default="ja")
    signature = TextField(default="")
    link_serial = IntegerField(default=0)
    created_at = UtcMillisField(default=clock.now)
    seen_at = UtcMillisField(null=True)
    disabled_at = UtcMillisField(null=True)

    # Flask-Login asks these four; the session in use is put here by `core.accounts.accounts.user_of_session`.
    session: "Session | None" = None
    is_authenticated = True
    is_anonymous = False

    @property
    def is_active(self) -> bool:
        return self.disabled_at is None

    def get_id(self) -> str:
        """Return the token of the session in use (never the number of the user)."""
        return self.session.token if self.session else ""


class Session(BaseModel):
    """One login on one device; revoked on logout, so that an old cookie opens nothing (T-12)."""

    user = ForeignKeyField(User, backref="sessions", on_delete="CASCADE")
    user_id: int
    digest = CharField(unique=True)
    created_at = UtcMillisField(default=clock.now)
    seen_at = UtcMillisField(default=clock.now)
    expires_at = UtcMillisField()
    revoked_at = UtcMillisField(null=True)
    remembered = BooleanField(default=False)
    device = CharField(default="")

    token: str = ""  # known only while a request or a login holds it; the table keeps its digest


class Role(BaseModel):
    """What a user may do in a list; `list_id` 0 is the whole organization. Ends at the end of day `until`."""

    KINDS = ("admin", "manager", "sender", "viewer")

    user = ForeignKeyField(User, backref="roles", on_delete="CASCADE")
    user_id: int
    list_id = IntegerField(default=0)
    kind = CharField(constraints=[_one_of("role_kind", "kind", ("admin", "manager", "sender", "viewer"))])
    until = DateField(null=True)
    told_until = DateField(null=True)  # the end about which its holder and the administrators have been told

    class Meta:
        indexes = ((("user", "list_id"), True),)


class AuditLog(BaseModel):
    """Who did what and when, by numbers; no address, name or text of a person stands here."""

    at = UtcMillisField(default=clock.now, index=True)
    user = ForeignKeyField(User, null=True, on_delete="SET NULL")
    user_id: int | None
    action = CharField()
    kind = CharField(default="")
    number = IntegerField(null=True)
    detail = JsonField(default=dict)


# ── 2 Lists ──────────────────────────────────────────────────────────────────────────────────────────────────────


class MailingList(BaseModel):
    """A list with its own address. `whole` marks 「全校」; `practice_of` makes it the user's practice list."""

    name = CharField()
    address = CharField(unique=True)  # local part, lower case
    whole = BooleanField(default=False)
    purpose = TextField(default="")
    practice_of = ForeignKeyField(User, null=True, unique=True, on_delete="CASCADE")
    practice_of_id: int | None
    join_mode = CharField(default="open")  # who joins by himself: open, code, confirm, approve, closed
    join_code = CharField(default=new_join_code, unique=True)
    signup_caps_off_until = UtcMillisField(null=True)  # registration day: until then no caps
    greeting = TextField(default="")  # the list's own words in the letter to who has joined
    post_ask = BooleanField(default=False)  # always ask the sender before a posted mail is distributed
    post_confirm = BooleanField(default=False)  # posted mails ask for a read confirmation (T-46: off)
    answer_on_open = BooleanField(default=False)  # opening a choice may answer, as T-50 has it, behind our guards
    monthly_test_day = IntegerField(null=True)  # day of the month of the reception test, 1 to 28
    monthly_test_minute = IntegerField(default=12 * 60 + 30)
    monthly_test_user = ForeignKeyField(User, null=True, backref="tested_lists", on_delete="SET NULL")
    monthly_test_user_id: int | None
    last_test_month = CharField(default="")  # the month whose test was booked last, YYYY-MM
    awaiting_roster_since = UtcMillisField(
        null=True
    )  # emptied at the year's end: takes no notice until its new roster is in
    requires_approval = BooleanField(default=False)  # notices to this list are looked at by a second person
    closed_at = UtcMillisField(null=True)
    created_at = UtcMillisField(default=clock.now)

    @classmethod
    def open_lists(cls) -> "Rows[Self]":
        """Lists in use, the whole organization first, practice lists left out."""
        return (
            cls.select()
            .where(cls.closed_at.is_null(), cls.practice_of.is_null())
            .order_by(cls.whole.desc(), cls.name, cls.id)
        )


class Person(BaseModel):
    """Somebody who gets letters, or a family reached by telephone (`address` is then null).

    `address` is as typed, unquoted; `address_key` is its form for comparison. `bare`: the server took the
    RFC-violating local part unquoted. `address_state`: fine, refusing (filter), bounced, complained.
    """

    name = CharField(default="")
    kana = CharField(default="", index=True)
    address = CharField(null=True)
    address_key = CharField(null=True, unique=True)
    violates_rfc = BooleanField(default=False)
    bare = BooleanField(default=False)
    phone = CharField(default="")
    language = CharField(default="ja")
    household = CharField(default="", index=True)
    address_state = CharField(
        default="fine",
        constraints=[_one_of("person_address_state", "address_state", ("fine", "refusing", "bounced", "complained"))],
    )
    address_reason = CharField(default="")
    address_state_at = UtcMillisField(null=True)
    address_state_notice_id = IntegerField(null=True)  # number of the notice whose letter brought it
    reported_address_state = CharField(default="fine")  # the state of the address of which the managers have been told
    created_at = UtcMillisField(default=clock.now)

    @property
    def is_deliverable(self) -> bool:
        """Say whether letters are sent to this person's address."""
        return bool(self.address) and self.address_state in DELIVERABLE_STATES


class Child(BaseModel):
    """A child, one row for the whole organization; guardians are found through memberships."""

    name = CharField()
    kana = CharField(default="")
    grade = CharField(default="")
    class_name = CharField(default="")
    household = CharField(default="", index=True)
    attributes = JsonField(default=dict)
    join_code = CharField(default=new_join_code, unique=True)  # on the slip: joins a guardian and settles whose child
    created_at = UtcMillisField(default=clock.now)

    @property
    def room(self) -> str:
        """Return grade and class in short, for sorting and chips: 「3-2」, 「4」, or empty."""
        return "-".join(part for part in (self.grade, self.class_name) if part)

    @property
    def given_name(self) -> str:
        """Return what stands behind the family name: 「海斗」 of 「鈴木 海斗」."""
        return self.name.replace("\u3000", " ").partition(" ")[2] or self.name


class Membership(BaseModel):
    """A person in a list, because of a child or not, with the consent record (joined how, when, by which words).

    A place that was left or refused does not count any more; its row stays until the retention clock takes it.
    """

    GONE = ("left", "refused")

    person = ForeignKeyField(Person, backref="memberships", on_delete="CASCADE")
    person_id: int
    list = ForeignKeyField(MailingList, backref="memberships", on_delete="CASCADE")
    list_id: int
    child = ForeignKeyField(Child, null=True, backref="memberships", on_delete="CASCADE")
    child_id: int | None
    relation = CharField(default="")
    attributes = JsonField(default=dict)
    state = CharField(
        default="active",
        constraints=[
            _one_of("membership_state", "state", ("unconfirmed", "pending", "active", "refused", "stopped", "left"))
        ],
    )
    stopped_by = CharField(default="")  # reader, manager
    in_charge = ForeignKeyField(User, null=True, on_delete="SET NULL")
    in_charge_id: int | None
    joined_at = UtcMillisField(default=clock.now)
    joined_via = CharField(default="manager")  # manager, file, blank mail, link, move, copy
    consent = JsonField(default=dict)  # how it was wished: keys in `core.members.consent`
    stopped_at = UtcMillisField(null=True)
    left_at = UtcMillisField(null=True)  # when it was left or refused

    @hybrid_property
    def is_member(self) -> bool:
        """Say whether the place still counts, in whatever state; asked of the class: the condition for it."""
        return self.state not in self.GONE

    @is_member.expression  # type: ignore[no-redef]
    def is_member(cls: Any) -> Expression:  # noqa: N805 (peewee passes the class)
        return cls.state.not_in(cls.GONE)

    class Meta:
        indexes = (
            (("list", "state"), False),
            SQL(
                'CREATE UNIQUE INDEX IF NOT EXISTS "membership_once" ON "membership"'
                ' ("person_id", "list_id", COALESCE("child_id", 0))'
            ),
        )


class ConsentText(BaseModel):
    """The words that somebody agreed to by joining: what a list sends and what addresses are used for.

    Kept word for word, since the law asks for the text by which a consent was given (field.md 3.1).
    """

    list = ForeignKeyField(MailingList, backref="terms", on_delete="CASCADE")
    list_id: int
    text = TextField()
    since = UtcMillisField(default=clock.now)


class QueuedSignup(BaseModel):
    """A registration above the caps: it waits in its order and is never dropped (design decision 5).

    `sure`: the address is proven and joins; else it gets the letter with the link to confirm.
    """

    list = ForeignKeyField(MailingList, backref="applicants", on_delete="CASCADE")
    list_id: int
    child = ForeignKeyField(Child, null=True, on_delete="CASCADE")
    child_id: int | None
    address = CharField()
    address_key = CharField()
    address_proven = BooleanField(default=False)
    route = CharField(default="blank mail")
    consent = JsonField(default=dict)
    at = UtcMillisField(default=clock.now)

    class Meta:
        indexes = (
            SQL(
                'CREATE UNIQUE INDEX IF NOT EXISTS "queued_signup_once" ON "queued_signup"'
                ' ("list_id", "address_key", COALESCE("child_id", 0))'
            ),
        )


class Group(BaseModel):
    """Some of the members of a list: whom a condition fits, looked up anew each time, or fixed ones (GroupMember).

    `condition`: blocks of rules, any block with all its rules (`core.members.segment_rules`); empty: the members are fixed.
    """

    list = ForeignKeyField(MailingList, backref="groups", on_delete="CASCADE")
    list_id: int
    name = CharField()
    condition = JsonField(default=tuple)
    created_at = UtcMillisField(default=clock.now)
    closed_at = UtcMillisField(null=True)

    class Meta:
        table_name = "member_group"  # "group" is a word of SQL


class GroupMember(BaseModel):
    """A place in a list that stands in a group with fixed members."""

    group = ForeignKeyField(Group, backref="members", on_delete="CASCADE")
    group_id: int
    membership = ForeignKeyField(Membership, on_delete="CASCADE")
    membership_id: int

    class Meta:
        indexes = ((("group", "membership"), True),)


class AllowedSender(BaseModel):
    """An address that may post to a list by mail; several for one person."""

    list = ForeignKeyField(MailingList, backref="senders", on_delete="CASCADE")
    list_id: int
    address = CharField()
    address_key = CharField()
    name = CharField(default="")
    created_at = UtcMillisField(default=clock.now)
    last_post_at = UtcMillisField(null=True)  # when a mail from this address came last
    last_auth_method = CharField(
        default=""
    )  # what proved it: dkim, dmarc, spf; empty: nothing, each post needs a release

    class Meta:
        indexes = ((("list", "address_key"), True),)


# ── 3 Notices ────────────────────────────────────────────────────────────────────────────────────────────────────


class NoticeState(StrEnum):
    """States of a notice. `asked`: waits for approval; `dropped`: never sent; `standing`: a step of a drip series."""

    DRAFT = "draft"
    ASKED = "asked"
    HELD = "held"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    PAUSED = "paused"
    SENT = "sent"
    STOPPED = "stopped"
    WITHDRAWN = "withdrawn"
    DROPPED = "dropped"
    STANDING = "standing"


class Notice(BaseModel):
    """One notice from draft to history. `state` moves only by `core.notices.workflow` and `core.delivery.lifecycle`.

    `form_key` makes a second submit of the same form find the first one. `fingerprint` and `expected` freeze what
    the check page showed. `serial` grows with every change, so that a poll can answer "nothing new".
    """

    kind = CharField(default="notice")  # notice, step, individual (a letter to one person)
    out_of = ForeignKeyField(
        MailingList, null=True, backref="+", on_delete="SET NULL"
    )  # in whose name an individual goes
    out_of_id: int | None
    drip_step = DeferredForeignKey("DripStep", null=True, backref="notices", on_delete="SET NULL")
    drip_step_id: int | None
    state = CharField(
        default=NoticeState.DRAFT, index=True, constraints=[_one_of("notice_state", "state", NoticeState)]
    )
    by = ForeignKeyField(User, null=True, on_delete="SET NULL")
    by_id: int | None
    by_name = CharField(default="")
    sender_user = ForeignKeyField(User, null=True, backref="sent_for", on_delete="SET NULL")
    sender_user_id: int | None
    sender_name = CharField(default="")  # in whose name it goes out; empty: of whoever sends it
    in_charge = BooleanField(default=False)  # who has a person in charge gets it in that person's name (D-16)
    route = CharField(default="web")  # web, terminal, mail, monthly
    form_key = CharField(null=True, unique=True)
    wizard_step = IntegerField(default=1)  # the compose screen that was open last
    urgent = BooleanField(default=False)
    read_confirmation = BooleanField(default=True)
    footer = BooleanField(default=True)
    reply_to_user = ForeignKeyField(
        User, null=True, backref="+", on_delete="SET NULL"
    )  # who ticked: to the own address
    reply_to_user_id: int | None
    skip_missing = BooleanField(default=True)  # no letter to whom a merge field of the words is empty for (D-24)
    useful_s = IntegerField(default=48 * 3600)
    practice = BooleanField(default=False)
    files_inside = BooleanField(default=False)  # attachments go in the letters themselves, up to 3 MB
    digest_settings = JsonField(
        default=dict
    )  # how often the sender is told what came back, by kind; missing: daily (D-32)
    correction_of = ForeignKeyField("self", null=True, on_delete="SET NULL")
    correction_of_id: int | None
    follow_up_to = ForeignKeyField("self", null=True, on_delete="SET NULL")  # the earlier one that it brings up to date
    follow_up_to_id: int | None
    created_at = UtcMillisField(default=clock.now)
    updated_at = UtcMillisField(default=clock.now)
    confirmed_at = UtcMillisField(null=True)
    fingerprint = CharField(default="")
    within = JsonField(null=True)  # lists whose places count for people chosen by name, as confirmed; null: all lists
    expected = JsonField(default=list)  # [person, child or 0] of each letter that was to leave when it was confirmed
    send_at = UtcMillisField(null=True, index=True)  # end of the hold window, or the booked time
    booked = BooleanField(default=False)
    hold_reason = CharField(default="")  # window, late, changed, proof (a posted mail that its sender must release)
    started_at = UtcMillisField(null=True)
    finished_at = UtcMillisField(null=True)
    stopped_at = UtcMillisField(null=True)
    withdrawn_at = UtcMillisField(null=True)
    pause_reason = CharField(default="")  # connection, login
    paused_at = UtcMillisField(null=True)
    rounds = IntegerField(default=0)
    serial = IntegerField(default=0)
    purged_at = UtcMillisField(null=True)  # its pages are closed, its letters and answers deleted; `Sums.kept` stays

    @property
    def signed(self) -> str:
        """Return the name that stands as the sender's."""
        return self.sender_name or self.by_name

    @property
    def reply_address(self) -> str | None:
        """Return a person's own address for replies: only if who ticked it is the one who sends (decision 4)."""
        return self.by.email or None if self.by and self.by_id == self.reply_to_user_id else None

    @property
    def review(self) -> "NoticeReview":
        """Return the request for a review; an empty unsaved row if there is none. One query."""
        return NoticeReview.of_notice(self)

    @property
    def reminder_rule(self) -> "ReminderRule":
        """Return the rule of automatic reminders; an unsaved row that sends none if there is none. One query."""
        return ReminderRule.of_notice(self)

    @property
    def tracking(self) -> "NoticeTracking":
        """Return what is counted of the letters; an unsaved row that counts nothing if there is none. One query."""
        return NoticeTracking.of_notice(self)

    @property
    def wording(self) -> "Wording":
        """Return the words in the organization's own language (the first row)."""
        return Wording.select().where(Wording.notice == self).order_by(Wording.id).get()

    @classmethod
    def latest(cls) -> "ModelSelect[Notice]":
        """Everything that is no draft, newest first (T-40)."""
        return (
            cls.select().where(cls.state.not_in(("draft", "dropped"))).order_by(cls.confirmed_at.desc(), cls.id.desc())
        )


class NoticePart(BaseModel):
    """A table with at most one row for a notice; no row means that every column has its default."""

    notice: ForeignKeyField

    @classmethod
    def of_notice(cls, notice: Notice) -> Self:
        """Return the row of a notice, or an unsaved one with the defaults."""
        return cls.get_or_none(cls.notice == notice) or cls(notice=notice)

    def store(self) -> None:
        """Insert or update the row; delete it if only defaults are left. Call inside a transaction."""
        columns = [one for one in self._meta.sorted_fields if one.name not in ("id", "notice")]
        if any(self.__data__.get(one.name) != one.default for one in columns):
            self.save()
        elif self.id is not None:
            self.delete_instance()
            self.id = None  # type: ignore[assignment]


class NoticeReview(NoticePart):
    """A colleague's review of a notice before it is sent: who was asked, who approved it, why it was sent back."""

    notice = ForeignKeyField(Notice, unique=True, backref="+", on_delete="CASCADE")
    notice_id: int
    requested_from = ForeignKeyField(User, null=True, backref="+", on_delete="SET NULL")
    requested_from_id: int | None
    requested_at = UtcMillisField(null=True)
    fingerprint = CharField(default="")  # of words, questions, files and audience when the review was requested
    reviewed_by = ForeignKeyField(User, null=True, backref="+", on_delete="SET NULL")  # who approved it
    reviewed_by_id: int | None
    note = TextField(default="")  # why it was sent back
    note_by = CharField(default="")


class ReminderRule(NoticePart):
    """When a notice is sent again by itself: `times` times every `every_s` seconds to those who have not read it."""

    notice = ForeignKeyField(Notice, unique=True, backref="+", on_delete="CASCADE")
    notice_id: int
    every_s = IntegerField(default=0)  # 0: never
    times = IntegerField(default=1)
    before_deadline = BooleanField(default=False)  # and a day before the deadline to those who have not answered


class NoticeTracking(NoticePart):
    """What is counted of the HTML part of the letters (D-31); `totals` are kept when the page views are deleted."""

    notice = ForeignKeyField(Notice, unique=True, backref="+", on_delete="CASCADE")
    notice_id: int
    opens = BooleanField(default=False)  # by an invisible picture
    clicks = BooleanField(default=False)  # links lead by our counter
    totals = JsonField(null=True)

    @property
    def is_on(self) -> bool:
        """Say whether openings or clicks are counted."""
        return self.opens or self.clicks


class Wording(BaseModel):
    """Subject and text of a notice in one language; may hold {{fields}}.

    `decorated`: it was written with decoration, as `html` (`mail.html.sanitizer`), and `text` was made from that. `html` of one
    that is not decorated any more is what it was before, for who changes their mind.
    """

    notice = ForeignKeyField(Notice, backref="wordings", on_delete="CASCADE")
    notice_id: int
    language = CharField(default="ja")
    subject = CharField(default="")
    text = TextField(default="")
    html = TextField(default="")
    decorated = BooleanField(default=False)

    class Meta:
        indexes = ((("notice", "language"), True),)


class Target(BaseModel):
    """A list, group or person that a notice is sent to, or is kept from (`include` false); exclusion wins (D-13)."""

    notice = ForeignKeyField(Notice, backref="targets", on_delete="CASCADE")
    notice_id: int
    include = BooleanField(default=True)
    kind = CharField(constraints=[_one_of("target_kind", "kind", ("list", "group", "person"))])
    number = IntegerField()

    class Meta:
        indexes = ((("notice", "kind", "number"), True),)


class Attachment(BaseModel):
    """A file that goes with a notice, kept as `file` (a random name) under `data/attachments`.

    `name` and `kind` are ours, found by content; `cleaned`: what a photo told beside its picture was taken out.
    Withdrawn ones keep their file for the record; `file_deleted_at`: the file was deleted after the school year.
    """

    notice = ForeignKeyField(Notice, backref="attachments", on_delete="CASCADE")
    notice_id: int
    name = CharField()
    kind = CharField()
    size = IntegerField()
    digest = CharField()
    file = CharField(unique=True)
    cleaned = BooleanField(default=False)
    added_at = UtcMillisField(default=clock.now)
    added_by = ForeignKeyField(User, null=True, on_delete="SET NULL")
    added_by_id: int | None
    withdrawn_at = UtcMillisField(null=True)
    file_deleted_at = UtcMillisField(null=True)


class Reminder(BaseModel):
    """A round of a notice after the first, to those who have not confirmed; its row says when it begins (law 1).

    `kind`: asked (a person pressed the button), timed (by itself, so many minutes after the last one), deadline (by
    itself, a day before it). `wants`: what its readers still owe: read or answer. `state`: waiting, begun, nobody
    (none was left to remind), called_off, missed (Kairan did not run at its time, so nothing was sent). `place`: which
    one of those that go by themselves.
    """

    STATES = ("waiting", "begun", "nobody", "called_off", "missed")

    notice = ForeignKeyField(Notice, backref="reminders", on_delete="CASCADE")
    notice_id: int
    kind = CharField(constraints=[_one_of("reminder_kind", "kind", ("asked", "timed", "deadline"))])
    wants = CharField(default="read")
    state = CharField(default="waiting", constraints=[_one_of("reminder_state", "state", STATES)])
    place = IntegerField(default=1)
    until = UtcMillisField(null=True)  # of kind deadline: the last of those that it comes before
    by = ForeignKeyField(User, null=True, on_delete="SET NULL")
    by_id: int | None
    made_at = UtcMillisField(default=clock.now)
    send_at = UtcMillisField()
    done_at = UtcMillisField(null=True)
    round = IntegerField(default=0)  # of the letters, once it has begun
    letters = IntegerField(default=0)

    class Meta:
        indexes = (
            (("notice", "round"), False),
            SQL(
                'CREATE UNIQUE INDEX IF NOT EXISTS "reminder_once" ON "reminder" ("notice_id", "kind")'
                " WHERE state = 'waiting'"
            ),
            SQL('CREATE INDEX IF NOT EXISTS "reminder_due" ON "reminder" ("send_at") WHERE state = \'waiting\''),
        )


class Question(BaseModel):
    """One question of a notice. `unit`: who answers it once; `deadline`: the last moment for readers (None: none).

    `kind`: own, or the ready-made one it came from. Questions of kind `days` that follow each other under the same
    `heading` are one block: days for each of which yes, maybe or no is said.
    """

    notice = ForeignKeyField(Notice, backref="questions", on_delete="CASCADE")
    notice_id: int
    place = IntegerField()
    kind = CharField(default="own")
    heading = CharField(default="")
    text = CharField(default="")
    unit = CharField(
        default="household", constraints=[_one_of("question_unit", "unit", ("child", "household", "person"))]
    )
    deadline = UtcMillisField(null=True)
    comment = BooleanField(default=False)  # a line of free text is offered beside the choices

    class Meta:
        indexes = ((("notice", "place"), True),)


class Choice(BaseModel):
    """One choice of a question; `number` counts through all questions of the notice and stands in web addresses."""

    question = ForeignKeyField(Question, backref="choices", on_delete="CASCADE")
    question_id: int
    number = IntegerField()
    text = CharField()

    class Meta:
        indexes = ((("question", "number"), True),)


# ── 4 Letters ────────────────────────────────────────────────────────────────────────────────────────────────────


class Delivery(BaseModel):
    """One reader of one notice, frozen when sending began. `reason` empty: gets letters; else why not.

    Reasons: no_address, stopped, left, pending, bounced, complained, excluded, missing (a merge field is empty).
    `token` opens the reader's pages. `values`: the merge fields, by their names as the words have them.
    Where the letter differs by child: `child_name` and `child_room` as they were, `siblings` if the same reader got
    letters about other children too (the subject then ends with this child's given name).
    """

    notice = ForeignKeyField(Notice, backref="deliveries", on_delete="CASCADE")
    notice_id: int
    person = ForeignKeyField(Person, null=True, backref="deliveries", on_delete="SET NULL")
    person_id: int | None
    child = ForeignKeyField(Child, null=True, on_delete="SET NULL")
    child_id: int | None
    child_name = CharField(default="")
    child_room = CharField(default="")
    siblings = BooleanField(default=False)
    token = CharField(unique=True)
    reason = CharField(default="")
    list = ForeignKeyField(MailingList, null=True, on_delete="SET NULL")
    list_id: int | None
    name = CharField(default="")
    kana = CharField(default="")
    language = CharField(default="ja")
    sender_name = CharField(default="")  # as it stood in From; empty: the notice's
    in_charge = ForeignKeyField(User, null=True, backref="charges", on_delete="SET NULL")  # whose name that is
    in_charge_id: int | None
    values = JsonField(default=dict)
    read_at = UtcMillisField(null=True)
    read_via = CharField(default="")  # press, touch, answer
    phoned_at = UtcMillisField(null=True)
    phoned_by = ForeignKeyField(User, null=True, backref="told", on_delete="SET NULL")
    phoned_by_id: int | None
    replied_at = UtcMillisField(null=True)
    misdirected_at = UtcMillisField(null=True)  # "not meant for me" was pressed

    class Meta:
        indexes = (
            (("notice", "read_at"), False),
            SQL(
                'CREATE UNIQUE INDEX IF NOT EXISTS "delivery_once" ON "delivery"'
                ' ("notice_id", "person_id", COALESCE("child_id", 0))'
            ),
        )


class DeliveryMembership(BaseModel):
    """A membership that a delivery answers for, with household and class as they were: one cell of the board."""

    delivery = ForeignKeyField(Delivery, backref="covers", on_delete="CASCADE")
    delivery_id: int
    membership = ForeignKeyField(Membership, null=True, on_delete="SET NULL")
    membership_id: int | None
    list = ForeignKeyField(MailingList, null=True, on_delete="SET NULL")
    list_id: int | None
    household = CharField(default="")
    child_name = CharField(default="")
    child_kana = CharField(default="")
    grade = CharField(default="")
    class_name = CharField(default="")


class LetterState(StrEnum):
    """States of a letter. `deferred`: tried again later; `unknown`: the connection broke after the content was sent."""

    WAITING = "waiting"
    SENDING = "sending"
    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REFUSED = "refused"
    BOUNCED = "bounced"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


QUEUED_STATES = (LetterState.WAITING, LetterState.DEFERRED)
PENDING_STATES = (*QUEUED_STATES, LetterState.SENDING)


class Letter(BaseModel):
    """One mail of one SMTP transaction: round n of a delivery, or a service letter without one.

    State changes: `core.delivery.lifecycle.TRANSITIONS`. `handed_over_at` is set before the content goes to the server.
    If a worker died while it was empty, the letter was not sent. `is_current` is false once a later round exists.
    """

    notice = ForeignKeyField(Notice, null=True, backref="letters", on_delete="CASCADE")
    notice_id: int | None
    delivery = ForeignKeyField(Delivery, null=True, backref="letters", on_delete="CASCADE")
    delivery_id: int | None
    round = IntegerField(default=1)
    is_current = BooleanField(default=True)
    kind = CharField(default="notice")  # notice, own, test, invitation, login, password, resume, release …
    person = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    person_id: int | None
    address = CharField()
    domain = CharField()
    urgent = BooleanField(default=False)
    language = CharField(default="ja")
    payload = JsonField(default=dict)  # words of a service letter; secrets are cleared once it is accepted
    state = CharField(default=LetterState.WAITING, constraints=[_one_of("letter_state", "state", LetterState)])
    made_at = UtcMillisField(default=clock.now)
    next_attempt_at = UtcMillisField(default=clock.now)
    expires_at = UtcMillisField()
    owner = CharField(default="")
    boot = CharField(default="")
    handed_over_at = UtcMillisField(null=True)
    attempts = IntegerField(default=0)
    done_at = UtcMillisField(null=True)
    code = IntegerField(null=True)
    enhanced = CharField(default="")
    text = CharField(default="")
    reason = CharField(default="")  # skipped or refused why: stopped, left, bounced, unknown_user, filtered, full …
    auto_resent = BooleanField(default=False)  # sent a second time by itself, because the first outcome was unknown

    class Meta:
        indexes = (
            (("notice", "is_current", "state"), False),
            (("delivery", "round"), True),
            SQL(
                'CREATE INDEX IF NOT EXISTS "letter_due" ON "letter" ("urgent" DESC, "next_attempt_at", "id")'
                " WHERE state IN ('waiting','deferred')"
            ),
            SQL('CREATE INDEX IF NOT EXISTS "letter_owned" ON "letter" ("owner") WHERE state = \'sending\''),
            SQL(
                'CREATE INDEX IF NOT EXISTS "letter_gave_way" ON "letter" ("delivery_id")'
                " WHERE is_current AND round > 1 AND state IN ('cancelled','skipped','expired')"
            ),
        )


class Answer(BaseModel):
    """What one unit answered to one question. The last one counts; those before it are kept, superseded (T-51).

    `unit` is the child, household or person as frozen (`core.notices.questions.answer_keys`), `delivery` whose letter
    it came by.
    """

    question = ForeignKeyField(Question, backref="answers", on_delete="CASCADE")
    question_id: int
    unit = CharField()
    delivery = ForeignKeyField(Delivery, backref="answers", on_delete="CASCADE")
    delivery_id: int
    choice = ForeignKeyField(Choice, on_delete="CASCADE")
    choice_id: int
    comment = TextField(default="")
    at = UtcMillisField(default=clock.now)
    how = CharField(default="press")  # press, touch, organizer
    by = ForeignKeyField(User, null=True, on_delete="SET NULL")  # the organizer who entered it
    by_id: int | None
    superseded_at = UtcMillisField(null=True)

    class Meta:
        indexes = (
            SQL(
                'CREATE UNIQUE INDEX IF NOT EXISTS "answer_once" ON "answer" ("question_id", "unit")'
                ' WHERE "superseded_at" IS NULL'
            ),
        )


class Bounce(BaseModel):
    """One report that a letter did not arrive, or only later; what it means for the person: `core.inbound.bounces`."""

    letter = ForeignKeyField(Letter, backref="bounces", on_delete="CASCADE")
    letter_id: int
    person = ForeignKeyField(Person, null=True, backref="bounces", on_delete="CASCADE")
    person_id: int | None
    at = UtcMillisField(default=clock.now)
    kind = CharField()  # unknown_user, filtered, full, policy, temporary, other, delayed, complaint
    permanent = BooleanField(default=False)
    status = CharField(default="")
    text = CharField(default="")


class NoticeStats(BaseModel):
    """What came of a notice, counted; kept, so that years can be compared without going through all letters.

    `fixed`: it will not change any more. Letters: `sent` left or were refused, `failed` of them came to nothing.
    Households: `asked` to confirm, `read`, `told` by telephone, `read_1h` within an hour; `half_s` seconds until half
    of them had confirmed (null: not yet). Questions: `could_answer`, `answered`. `hours`: first confirmations by hour
    of the school's day. Estimates, of letters: `opens_of` count openings, `opened` were by readers, `proxied` by their
    provider alone, `clicks_of` count links, `clicked` were.
    """

    notice = ForeignKeyField(Notice, unique=True, backref="sums", on_delete="CASCADE")
    notice_id: int
    at = UtcMillisField(default=clock.now)
    fixed = BooleanField(default=False)
    sent = IntegerField(default=0)
    failed = IntegerField(default=0)
    asked = IntegerField(default=0)
    read = IntegerField(default=0)
    told = IntegerField(default=0)
    read_1h = IntegerField(default=0)
    half_s = IntegerField(null=True)
    could_answer = IntegerField(default=0)
    answered = IntegerField(default=0)
    hours = JsonField(default=list)
    opens_of = IntegerField(default=0)
    opened = IntegerField(default=0)
    proxied = IntegerField(default=0)
    clicks_of = IntegerField(default=0)
    clicked = IntegerField(default=0)
    open_hours = JsonField(default=list)
    click_hours = JsonField(default=list)
    kept = JsonField(null=True)  # what is shown instead of the letters once they are deleted: `core.reports.summaries`


class ExpiredLink(BaseModel):
    """What is left of a delivery after its school year: by its token's digest this membership can be stopped."""

    digest = BlobField()
    membership = ForeignKeyField(Membership, on_delete="CASCADE")
    membership_id: int

    class Meta:
        indexes = ((("digest", "membership"), True),)


class PageView(BaseModel):
    """A page opened by a letter's token, kept 90 days: it changes nobody's state, but tells robots from readers."""

    delivery = ForeignKeyField(Delivery, backref="visits", on_delete="CASCADE")
    delivery_id: int
    at = UtcMillisField(default=clock.now)
    page = CharField()  # r, u, o (picture), c<link>, a<choice>; touch, touch a<choice>: the script pressed
    inside = BooleanField(default=False)  # followed from a page of ours
    agent = CharField(default="")
    automatic = BooleanField(default=False)  # the agent is a known scanner or preview robot


class TrackedLink(BaseModel):
    """A web address of a notice's words, kept when sending began: its counter leads there and nowhere else (D-31)."""

    notice = ForeignKeyField(Notice, backref="links", on_delete="CASCADE")
    notice_id: int
    number = IntegerField()
    url = TextField()

    class Meta:
        indexes = ((("notice", "number"), True),)


class AttachmentView(BaseModel):
    """An attachment opened by a button: by a reader, or by an organizer who looked at it before it went (X-01)."""

    attachment = ForeignKeyField(Attachment, backref="opened", on_delete="CASCADE")
    attachment_id: int
    delivery = ForeignKeyField(Delivery, null=True, backref="opened", on_delete="CASCADE")
    delivery_id: int | None
    user = ForeignKeyField(User, null=True, on_delete="CASCADE")
    user_id: int | None
    at = UtcMillisField(default=clock.now)

    class Meta:
        indexes = (
            SQL(
                'CREATE UNIQUE INDEX IF NOT EXISTS "attachment_view_once" ON "attachment_view"'
                ' ("attachment_id", COALESCE("delivery_id", 0), COALESCE("user_id", 0))'
            ),
        )


# ── 5 Automation ─────────────────────────────────────────────────────────────────────────────────────────────────


class DripStep(BaseModel):
    """A letter that follows joining by itself: `days` after it, at `minute` of the school's day (N-12).

    Its words stand in the notice of kind step whose state is standing; earlier words stay as notices of their own.
    Who joined before `since` is passed over. `pause_reason`: hand, many (more people at once than by themselves).
    """

    list = ForeignKeyField(MailingList, backref="steps", on_delete="CASCADE")
    list_id: int
    days = IntegerField(default=0)
    minute = IntegerField(default=18 * 60)
    since = UtcMillisField(default=clock.now)
    paused_at = UtcMillisField(null=True)
    pause_reason = CharField(default="")
    ended_at = UtcMillisField(null=True)
    created_at = UtcMillisField(default=clock.now)


class StepSent(BaseModel):
    """Somebody who had a step in an earlier school year, so that it is not sent again. `sent`: by a letter."""

    step = ForeignKeyField(DripStep, backref="had", on_delete="CASCADE")
    step_id: int
    person = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    person_id: int | None
    sent = BooleanField(default=True)
    read = BooleanField(default=False)


class NoticeTemplate(BaseModel):
    """Words for a notice, kept to be begun from (N-04). No list: for all.

    `key`: the own version of a shipped one, for all or for one list; `hidden`: it only takes the shipped one away.
    `questions`: what is asked with it, as `core.notices.templates` writes them.
    """

    name = CharField(default="")
    subject = CharField(default="")
    text = TextField(default="")
    html = TextField(default="")  # as in Wording
    decorated = BooleanField(default=False)
    kind = CharField(default="other")
    urgent = BooleanField(default=False)
    read_confirmation = BooleanField(default=True)
    questions = JsonField(default=list)
    list = ForeignKeyField(MailingList, null=True, backref="samples", on_delete="CASCADE")
    list_id: int | None
    key = CharField(null=True)
    hidden = BooleanField(default=False)

    class Meta:
        indexes = (
            SQL(
                'CREATE UNIQUE INDEX IF NOT EXISTS "notice_template_once" ON "notice_template" ("key", COALESCE("list_id", 0))'
                " WHERE key IS NOT NULL"
            ),
        )


class DigestSubscription(BaseModel):
    """What one user is told of one notice by mail: which kind of matter, how often, and until when it has been told."""

    notice = ForeignKeyField(Notice, backref="digests", on_delete="CASCADE")
    notice_id: int
    user = ForeignKeyField(User, backref="digests", on_delete="CASCADE")
    user_id: int
    kind = CharField()  # open, reopen, click, read, answer
    timing = CharField()  # hourly, daily, weekly, monthly
    told_until = UtcMillisField()

    class Meta:
        indexes = ((("notice", "user", "kind"), True),)


class Job(BaseModel):
    """Long work with progress that survives a reload (an import, for one). `state`: ready, done, undone."""

    kind = CharField()
    user = ForeignKeyField(User, null=True, on_delete="SET NULL")
    user_id: int | None
    list = ForeignKeyField(MailingList, null=True, on_delete="CASCADE")
    list_id: int | None
    state = CharField(default="ready")
    made_at = UtcMillisField(default=clock.now)
    done = IntegerField(default=0)
    total = IntegerField(default=0)
    detail = JsonField(default=dict)


class Rollover(BaseModel):
    """The change of the school year in two steps: the year's end, then the new roster. One is open at a time.

    `state`: planned, ended (classes empty and waiting), done, undone. `plan`: {grades that leave, lists of classes};
    `roster`: the lines of the new roster and what was decided of them by hand; `undo`: what each step changed.
    """

    by = ForeignKeyField(User, null=True, on_delete="SET NULL")
    by_id: int | None
    state = CharField(default="planned")
    made_at = UtcMillisField(default=clock.now)
    ended_at = UtcMillisField(null=True)
    done_at = UtcMillisField(null=True)
    plan = JsonField(default=dict)
    roster = JsonField(default=dict)
    undo = JsonField(default=dict)


# ── 6 Record ─────────────────────────────────────────────────────────────────────────────────────────────────────


class InboundMessage(BaseModel):
    """One mail that came to one recipient, and what became of it. The same bytes to the same recipient come once.

    `recipient` is the local part. `outcome`: done, held, silent, dropped, failed (will be tried again), quarantined;
    `reason` says why. `file`: the name of the raw mail under `data/inbox/kept`, while it is kept.
    """

    digest = CharField()  # SHA-256 of the raw mail, in hex
    recipient = CharField()
    at = UtcMillisField(default=clock.now, index=True)
    envelope_sender = CharField(default="")
    address = CharField(default="")  # the single From mailbox
    kind = CharField(default="")  # post, join, leave, bounce, complaint, reply, house, automatic, loop, machine, stray
    outcome = CharField(default="failed")
    reason = CharField(default="")
    list = ForeignKeyField(MailingList, null=True, on_delete="SET NULL")
    list_id: int | None
    person = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    person_id: int | None
    letter = ForeignKeyField(Letter, null=True, on_delete="SET NULL")
    letter_id: int | None
    notice = ForeignKeyField(Notice, null=True, on_delete="SET NULL")
    notice_id: int | None
    subject = CharField(default="")
    text = TextField(default="")
    attempts = IntegerField(default=0)
    file = CharField(default="")
    files = JsonField(default=tuple)  # what came with a reply: [name, octets] each; the raw mail holds them

    class Meta:
        indexes = ((("digest", "recipient"), True), (("kind", "outcome"), False))


class ImapStatus(BaseModel):
    """How the mailbox was last read (row 1). `reason` is "" while all is well; `message` is a sentence for `say`."""

    at = UtcMillisField(null=True)
    last_success_at = UtcMillisField(null=True)
    reason = CharField(default="")
    message = CharField(default="")
    detail = CharField(default="")
    taken = IntegerField(default=0)
    others = IntegerField(default=0)  # mails that were for no address of ours

    @classmethod
    def load_row(cls) -> "ImapStatus":
        """Return the one row, made on first use."""
        found, _ = cls.get_or_create(id=1)
        return found


class ThrottleBucket(BaseModel):
    """Throttle of all letters or of one domain: name `all`, or a recipient domain. `tokens` letters may go now; nothing before `paused_until`."""

    name = CharField(unique=True)
    tokens = IntegerField(default=0)  # thousandths of a letter
    at = UtcMillisField(default=clock.now)
    paused_until = UtcMillisField(null=True)
    why = CharField(default="")


TABLES: tuple[type[BaseModel], ...] = (
    Organization,
    User,
    Session,
    Role,
    AuditLog,
    MailingList,
    Person,
    Child,
    Membership,
    Group,
    GroupMember,
    ConsentText,
    QueuedSignup,
    AllowedSender,
    Notice,
    NoticeReview,
    ReminderRule,
    NoticeTracking,
    Wording,
    Target,
    Attachment,
    Reminder,
    Question,
    Choice,
    Delivery,
    DeliveryMembership,
    Letter,
    NoticeStats,
    Answer,
    Bounce,
    ExpiredLink,
    PageView,
    TrackedLink,
    AttachmentView,
    DripStep,
    StepSent,
    NoticeTemplate,
    DigestSubscription,
    Job,
    Rollover,
    InboundMessage,
    ImapStatus,
    ThrottleBucket,
)


def count_letters(notice: int) -> dict[str, int]:
    """Return how many of a notice's newest letters stand in each state."""
    mine = (Letter.notice == notice) & (Letter.is_current == True)
    return dict(Letter.select(Letter.state, fn.COUNT(Letter.id)).where(mine).group_by(Letter.state).tuples())
