"""The tables of Kairan, in six sections, with queries about one row and named queries that return a Select.

Tables import neither mail nor web modules. The database engine is chosen in `database`.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self, TypeVar

from peewee import (
    SQL,
    AutoField,
    BigIntegerField,
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
from database import JsonField, UtcMillisField, db, load_rows, new_join_code, optional_write

if TYPE_CHECKING:
    M = TypeVar("M", bound=Model)

    class Rows(ModelSelect[M]):
        """A typed select: the peewee stubs miss that tuples() and dicts() do not return rows of the table."""

        def tuples(self, as_tuple: bool = True) -> ModelSelect[Any]: ...  # type: ignore[override]
        def dicts(self, as_dict: bool = True) -> ModelSelect[Any]: ...  # type: ignore[override]
        def first(self, n: int = 1) -> Any: ...  # type: ignore[override]


def _one_of(name: str, column: str, values: Iterable[str]) -> SQL:
    """Return a CHECK constraint that allows these values. Migrations replace it by its name."""
    return SQL(f'CONSTRAINT "{name}" CHECK ({column} IN ({", ".join(repr(str(value)) for value in values)}))')


class BaseModel(Model):
    """Common base of all tables."""

    id = AutoField()

    if TYPE_CHECKING:

        @classmethod
        def select(cls, *fields: Any) -> "Rows[Self]": ...
        @classmethod
        def get_or_create(cls, **fields: Any) -> tuple[Self, bool]: ...

    class Meta:
        database = db
        legacy_table_names = False


# ── 1 Organization ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Organization(BaseModel):
    """The school or club of this installation (row 1), with the settings that administrators change on pages."""

    name = CharField(default="")
    postal = CharField(default="")
    contact = CharField(default="")
    language = CharField(default="ja")
    mail_domain = CharField(default="")
    base_url = CharField(default="")
    smtp = CharField(default="")
    mail_mode = CharField(default="")  # own, relay, collected, mailbox (`core.system.mail_settings`)
    imap = CharField(default="")
    mailbox = CharField(default="")
    plus = BooleanField(default=False)
    recipient_header = CharField(default="")
    hour_rate = IntegerField(default=0)
    rate = IntegerField(default=300)
    domain_rate = IntegerField(default=120)
    hold_s = IntegerField(default=180)
    hold_urgent_s = IntegerField(default=20)
    requires_approval = BooleanField(default=False)  # a colleague approves each notice, except urgent ones
    carriers = JsonField(default=list)  # own carrier help (`core.signup.carrier_help`)
    public_urgent = BooleanField(default=False)  # the current urgent notice is on a public page
    late_s = IntegerField(default=1800)
    set_up_at = UtcMillisField(null=True)
    domain_until = DateField(null=True)  # end of the domain registration
    server_until = DateField(null=True)  # end of the server contract
    renewal_reminders_sent = CharField(default="")  # reminders of these two dates that were sent
    handover = TextField(default="")  # administrators' note on the hand-over sheet
    last_health_email = CharField(default="")  # month of the last health e-mail, YYYY-MM
    tags_have_purpose_since = UtcMillisField(null=True)  # from 0.1: earlier letters have one tag for all
    live_since = UtcMillisField(null=True)  # from then on letters wait without a mail server, instead of practice
    purge_before_year = IntegerField(default=0)  # earlier letters are purged from `purge_starts_at` on
    purge_starts_at = UtcMillisField(null=True)

    @classmethod
    def load_row(cls) -> "Organization":
        """Return row 1; create it on first use."""
        rows = load_rows(cls, "SELECT * FROM organization WHERE id = 1")
        return rows[0] if rows else cls.get_or_create(id=1)[0]


class User(BaseModel):
    """An organizer who logs in. `name` is typed at login and shown in the audit log."""

    name = CharField()
    name_key = CharField(unique=True)
    email = CharField(null=True)
    email_key = CharField(null=True, unique=True)
    pending_email = CharField(null=True)  # new address, not confirmed yet
    password = CharField(null=True)
    language = CharField(default="ja")
    signature = TextField(default="")
    link_serial = IntegerField(default=0)
    created_at = UtcMillisField(default=clock.now)
    seen_at = UtcMillisField(null=True)
    disabled_at = UtcMillisField(null=True)

    # For Flask-Login. `core.accounts.sessions.user_of_session` sets the current session.
    session: "Session | None" = None
    is_authenticated = True
    is_anonymous = False

    @property
    def is_active(self) -> bool:
        return self.disabled_at is None

    def get_id(self) -> str:
        """Return the token of the current session, not the user id (Flask-Login stores it in the cookie)."""
        return self.session.token if self.session else ""


class Device(BaseModel):
    """A browser on which a user has logged in. Its cookie holds a token; the table stores the digest of the token."""

    user = ForeignKeyField(User, backref="devices", on_delete="CASCADE")
    user_id: int
    digest = CharField(unique=True)
    name = CharField(default="")  # chosen by the user
    agent = CharField(default="")  # User-Agent
    created_at = UtcMillisField(default=clock.now)
    seen_at = UtcMillisField(default=clock.now)
    second_factor_at = UtcMillisField(null=True)  # a second factor was shown here; it is not asked for again at login
    revoked_at = UtcMillisField(null=True)


class Session(BaseModel):
    """One login on one device. Logout revokes it, so that an old cookie no longer works (T-12)."""

    user = ForeignKeyField(User, backref="sessions", on_delete="CASCADE")
    user_id: int
    digest = CharField(unique=True)
    created_at = UtcMillisField(default=clock.now)
    seen_at = UtcMillisField(default=clock.now)
    expires_at = UtcMillisField()
    revoked_at = UtcMillisField(null=True)
    remembered = BooleanField(default=False)
    agent = CharField(default="")  # User-Agent
    device = ForeignKeyField(Device, null=True, backref="sessions", on_delete="SET NULL")
    device_id: int | None
    awaits_second_factor = BooleanField(default=False)  # opens no page until the second factor is shown
    confirmed_at = UtcMillisField(null=True)  # password or second factor last shown before a sensitive action
    challenge = CharField(default="")  # purpose and challenge of the passkey request under way; used once

    token: str = ""  # only in memory; the table stores its digest


class KeptForm(BaseModel):
    """A posted form that met an ended session; shown to its user after the next login (`core.accounts.kept_forms`)."""

    user = ForeignKeyField(User, backref="kept_forms", on_delete="CASCADE")
    user_id: int
    page = CharField()  # path of the page that holds the form
    action = CharField()  # path that it was posted to
    fields = JsonField(default=list)  # [[name, value], …] without passwords, codes and form tokens
    has_files = BooleanField(default=False)
    shown = BooleanField(default=False)
    at = UtcMillisField(default=clock.now)


class TotpKey(BaseModel):
    """The shared secret of an authenticator app (RFC 6238), encrypted. Not in use before `confirmed_at`."""

    user = ForeignKeyField(User, backref="totp_keys", on_delete="CASCADE")
    user_id: int
    secret = CharField()
    last_step = IntegerField(default=0)  # time step of the last accepted code; older codes are refused
    created_at = UtcMillisField(default=clock.now)
    confirmed_at = UtcMillisField(null=True)


class Passkey(BaseModel):
    """A WebAuthn credential. It works only on pages of the host `rp_id`."""

    user = ForeignKeyField(User, backref="passkeys", on_delete="CASCADE")
    user_id: int
    credential_id = CharField(unique=True)  # base64url
    public_key = BlobField()
    sign_count = IntegerField(default=0)
    transports = JsonField(default=list)
    rp_id = CharField()
    name = CharField(default="")
    created_at = UtcMillisField(default=clock.now)
    used_at = UtcMillisField(null=True)


class RecoveryCode(BaseModel):
    """One of ten codes that replace the second factor, each once. The table stores a keyed hash."""

    user = ForeignKeyField(User, backref="recovery_codes", on_delete="CASCADE")
    user_id: int
    digest = CharField(unique=True)
    created_at = UtcMillisField(default=clock.now)
    used_at = UtcMillisField(null=True)


class Role(BaseModel):
    """What a user may do in a list; `list_id` 0 is the whole organization. Ends at the end of day `until`."""

    KINDS = ("admin", "manager", "sender", "viewer")

    user = ForeignKeyField(User, backref="roles", on_delete="CASCADE")
    user_id: int
    list_id = IntegerField(default=0)
    kind = CharField(constraints=[_one_of("role_kind", "kind", ("admin", "manager", "sender", "viewer"))])
    until = DateField(null=True)
    told_until = DateField(null=True)  # the `until` that was announced to user and administrators

    class Meta:
        indexes = ((("user", "list_id"), True),)


class AuditLog(BaseModel):
    """Who did what and when, by ids. It contains no address, name or text of a person."""

    at = UtcMillisField(default=clock.now, index=True)
    user = ForeignKeyField(User, null=True, on_delete="SET NULL")
    user_id: int | None
    action = CharField()
    kind = CharField(default="")
    number = IntegerField(null=True)
    detail = JsonField(default=dict)


# ── 2 Lists ──────────────────────────────────────────────────────────────────────────────────────────────────────


class MailingList(BaseModel):
    """A list with its own address. `whole` marks 「全校」; `practice_of` makes it a user's practice list."""

    name = CharField()
    address = CharField(unique=True)  # local part, lower case
    whole = BooleanField(default=False)
    purpose = TextField(default="")
    practice_of = ForeignKeyField(User, null=True, unique=True, on_delete="CASCADE")
    practice_of_id: int | None
    join_mode = CharField(default="open")  # open, code, confirm, approve, closed
    join_code = CharField(default=new_join_code, unique=True)
    signup_caps_off_until = UtcMillisField(null=True)  # registration day: no signup quotas until then
    greeting = TextField(default="")  # the list's own text in the welcome letter
    post_ask = BooleanField(default=False)  # the sender must release each posted mail
    post_confirm = BooleanField(default=False)  # posted mails ask for a read confirmation (T-46: off)
    answer_on_open = BooleanField(default=False)  # opening a choice link may answer (T-50), with scanner checks
    monthly_test_day = IntegerField(null=True)  # day of the monthly test, 1 to 28
    monthly_test_minute = IntegerField(default=12 * 60 + 30)
    monthly_test_user = ForeignKeyField(User, null=True, backref="tested_lists", on_delete="SET NULL")
    monthly_test_user_id: int | None
    last_test_month = CharField(default="")  # month of the last scheduled test, YYYY-MM
    awaiting_roster_since = UtcMillisField(null=True)  # emptied at year end; closed until its roster is imported
    requires_approval = BooleanField(default=False)  # a colleague approves notices to this list
    closed_at = UtcMillisField(null=True)
    created_at = UtcMillisField(default=clock.now)

    @classmethod
    def open_lists(cls) -> "Rows[Self]":
        """Open lists without practice lists, the whole school first."""
        return (
            cls.select()
            .where(cls.closed_at.is_null(), cls.practice_of.is_null())
            .order_by(cls.whole.desc(), cls.name, cls.id)
        )


class AddressState(StrEnum):
    """States of a person's address. `refusing`: the phone's filter refuses our mail."""

    FINE = "fine"
    REFUSING = "refusing"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


DELIVERABLE_STATES = (AddressState.FINE, AddressState.REFUSING)
"""States of an address to which letters are sent."""


class Person(BaseModel):
    """A person who receives letters, or a family reached by telephone (`address` is null).

    `address` is as typed, unquoted; `address_key` is its form for comparison, null while another row holds it
    (`core.members.merge`). `bare`: the server accepted the RFC-violating local part unquoted.
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
        default=AddressState.FINE, constraints=[_one_of("person_address_state", "address_state", AddressState)]
    )
    address_reason = CharField(default="")
    address_state_at = UtcMillisField(null=True)
    address_state_notice_id = IntegerField(null=True)  # id of the notice whose letter caused the state
    reported_address_state = CharField(default=AddressState.FINE)  # the state last reported to managers
    created_at = UtcMillisField(default=clock.now)

    @property
    def is_deliverable(self) -> bool:
        return bool(self.address) and self.address_state in DELIVERABLE_STATES


class Child(BaseModel):
    """A child, one row for the whole organization. Its guardians are found by memberships."""

    name = CharField()
    kana = CharField(default="")
    grade = CharField(default="")
    class_name = CharField(default="")
    household = CharField(default="", index=True)
    attributes = JsonField(default=dict)
    join_code = CharField(default=new_join_code, unique=True)  # secret from which the code of each list is computed
    created_at = UtcMillisField(default=clock.now)

    @property
    def room(self) -> str:
        """Return grade and class in short form: 「3-2」, 「4」, or empty."""
        return "-".join(part for part in (self.grade, self.class_name) if part)

    @property
    def given_name(self) -> str:
        """Return the part after the family name: 「海斗」 of 「鈴木 海斗」."""
        return self.name.replace("\u3000", " ").partition(" ")[2] or self.name


class MembershipState(StrEnum):
    """States of a membership. `unconfirmed`: waits for the person; `pending`: waits for a manager."""

    UNCONFIRMED = "unconfirmed"
    PENDING = "pending"
    ACTIVE = "active"
    REFUSED = "refused"
    STOPPED = "stopped"
    LEFT = "left"


class Membership(BaseModel):
    """A person in a list, for a child or for none, with the consent record (when, by which way, to which text).

    A membership with state left or refused is not counted as a member. The purge deletes its row.
    """

    GONE = (MembershipState.LEFT, MembershipState.REFUSED)

    person = ForeignKeyField(Person, backref="memberships", on_delete="CASCADE")
    person_id: int
    list = ForeignKeyField(MailingList, backref="memberships", on_delete="CASCADE")
    list_id: int
    child = ForeignKeyField(Child, null=True, backref="memberships", on_delete="CASCADE")
    child_id: int | None
    relation = CharField(default="")
    attributes = JsonField(default=dict)
    state = CharField(
        default=MembershipState.ACTIVE, constraints=[_one_of("membership_state", "state", MembershipState)]
    )
    stopped_by = CharField(default="")  # reader, manager
    class_teacher = ForeignKeyField(User, null=True, on_delete="SET NULL")
    class_teacher_id: int | None
    joined_at = UtcMillisField(default=clock.now)
    joined_via = CharField(default="manager")  # manager, file, blank mail, link, move, copy
    consent = JsonField(default=dict)  # keys in `core.members.consent`
    stopped_at = UtcMillisField(null=True)
    left_at = UtcMillisField(null=True)  # when the state became left or refused

    @hybrid_property
    def is_member(self) -> bool:
        """Say whether the state is neither left nor refused; on the class: the SQL condition for it."""
        return self.state not in self.GONE

    @is_member.expression  # type: ignore[no-redef]
    def is_member(cls: Any) -> Expression:  # noqa: N805 (peewee passes the class)
        """Say whether the state is neither left nor refused; on the class: the SQL condition for it."""
        return cls.state.not_in(cls.GONE)

    class Meta:
        indexes = (
            (("list", "state"), False),
            SQL(
                'CREATE UNIQUE INDEX IF NOT EXISTS "membership_once" ON "membership"'
                ' ("person_id", "list_id", COALESCE("child_id", 0))'
            ),
        )


class ChangeRequest(BaseModel):
    """A change that waits for a user with rights over all lists of the person (decision 87).

    `changes`: wanted values of the person, or of the child, by column; `household`: "" (one of their own) or the id of
    a person to join. `duplicate`: a second row of perhaps the same person, made by a manager who may not see the first
    row. Agreement merges it into `person`. `list`: the list of the requester.
    """

    person = ForeignKeyField(Person, backref="change_requests", on_delete="CASCADE")
    person_id: int
    child = ForeignKeyField(Child, null=True, on_delete="CASCADE")
    child_id: int | None
    duplicate = ForeignKeyField(Person, null=True, unique=True, backref="merge_requests", on_delete="CASCADE")
    duplicate_id: int | None
    list = ForeignKeyField(MailingList, on_delete="CASCADE")
    list_id: int
    by = ForeignKeyField(User, null=True, on_delete="SET NULL")
    by_id: int | None
    changes = JsonField(default=dict)
    at = UtcMillisField(default=clock.now)
    mailed_at = UtcMillisField(null=True)  # when the holder of the address got the link that merges


class ChildCode(BaseModel):
    """A renewed code of a child in a list. Without a row the code is computed (`core.members.join_codes`)."""

    list = ForeignKeyField(MailingList, on_delete="CASCADE")
    list_id: int
    child = ForeignKeyField(Child, on_delete="CASCADE")
    child_id: int
    code = CharField(default=new_join_code)

    class Meta:
        indexes = ((("list", "child"), True),)


class ConsentText(BaseModel):
    """The text that a member agreed to at signup: what the list sends and what addresses are used for.

    Stored word for word, because the law asks for the text of a consent (field.md 3.1).
    """

    list = ForeignKeyField(MailingList, backref="terms", on_delete="CASCADE")
    list_id: int
    text = TextField()
    since = UtcMillisField(default=clock.now)


class LinkRequest(BaseModel):
    """A request for a mailed link, from a page without login. A background job looks up `typed` and deletes the row."""

    purpose = CharField(
        constraints=[_one_of("link_request_purpose", "purpose", ("login", "password", "page", "signup"))]
    )
    typed = CharField()
    details = JsonField(default=dict)
    at = UtcMillisField(default=clock.now)


class QueuedSignup(BaseModel):
    """A signup above the quotas. It is processed in order and never dropped (design decision 5).

    `address_proven`: it becomes a member; else the address gets a letter with a confirmation link.
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
    """Some members of a list: those that match a condition at each use, or fixed ones (GroupMember).

    `condition`: blocks of rules (`core.members.segment_rules`); a member must match all rules of one block. Empty: fixed.
    """

    list = ForeignKeyField(MailingList, backref="groups", on_delete="CASCADE")
    list_id: int
    name = CharField()
    condition = JsonField(default=tuple)
    created_at = UtcMillisField(default=clock.now)
    closed_at = UtcMillisField(null=True)

    class Meta:
        table_name = "member_group"  # "group" is an SQL keyword


class GroupMember(BaseModel):
    """A membership in a group with fixed members."""

    group = ForeignKeyField(Group, backref="members", on_delete="CASCADE")
    group_id: int
    membership = ForeignKeyField(Membership, on_delete="CASCADE")
    membership_id: int

    class Meta:
        indexes = ((("group", "membership"), True),)


class AllowedSender(BaseModel):
    """An address that may post to a list by mail. One person may have several."""

    list = ForeignKeyField(MailingList, backref="senders", on_delete="CASCADE")
    list_id: int
    address = CharField()
    address_key = CharField()
    name = CharField(default="")
    created_at = UtcMillisField(default=clock.now)
    last_post_at = UtcMillisField(null=True)  # last mail from this address
    last_auth_method = CharField(default="")  # dkim, dmarc, spf; empty: unproven, each post needs a release

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


STARTED_STATES = (NoticeState.SENDING, NoticeState.PAUSED, NoticeState.SENT, NoticeState.STOPPED)
"""Sending has begun, and the notice is not withdrawn."""


class Notice(BaseModel):
    """One notice from draft to history. Only `core.notices.workflow` and `core.delivery.lifecycle` change `state`.

    `form_key` makes a repeated submit of the same form return the same notice. `fingerprint` and `expected` store what
    the check page showed. `serial` grows with every change, so that a poll can answer 204.
    """

    kind = CharField(default="notice")  # notice, step, individual (direct message)
    out_of = ForeignKeyField(MailingList, null=True, backref="+", on_delete="SET NULL")  # From of a direct message
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
    sender_name = CharField(default="")  # sender name in From; empty: the user's name
    from_class_teacher = BooleanField(default=False)  # use the class teacher's name as sender name (D-16)
    route = CharField(default="web")  # web, terminal, mail, monthly
    form_key = CharField(null=True, unique=True)
    wizard_step = IntegerField(default=1)  # last open compose screen
    urgent = BooleanField(default=False)
    read_confirmation = BooleanField(default=True)
    footer = BooleanField(default=True)
    reply_to_user = ForeignKeyField(User, null=True, backref="+", on_delete="SET NULL")  # chose the own address
    reply_to_user_id: int | None
    skip_missing = BooleanField(default=True)  # no letter if one of its merge fields is empty (D-24)
    useful_s = IntegerField(default=48 * 3600)
    practice = BooleanField(default=False)
    files_inside = BooleanField(default=False)  # attachments are part of the letter, up to 3 MB
    digest_settings = JsonField(default=dict)  # digest interval by kind of event; missing: daily (D-32)
    correction_of = ForeignKeyField("self", null=True, on_delete="SET NULL")
    correction_of_id: int | None
    follow_up_to = ForeignKeyField("self", null=True, on_delete="SET NULL")  # the notice that this updates
    follow_up_to_id: int | None
    created_at = UtcMillisField(default=clock.now)
    updated_at = UtcMillisField(default=clock.now)
    confirmed_at = UtcMillisField(null=True)
    fingerprint = CharField(default="")
    within = JsonField(null=True)  # lists that count for persons as recipients; null: all
    expected = JsonField(default=list)  # [person id, child id or 0] of each letter at confirmation
    send_at = UtcMillisField(null=True, index=True)  # end of the hold window, or the scheduled time
    booked = BooleanField(default=False)
    hold_reason = CharField(default="")  # window, or one of `core.notices.workflow.DECISION_REASONS`
    started_at = UtcMillisField(null=True)
    finished_at = UtcMillisField(null=True)
    stopped_at = UtcMillisField(null=True)
    withdrawn_at = UtcMillisField(null=True)
    pause_reason = CharField(default="")  # key of `outage.OUTAGE_LABELS`; kept until a letter goes again
    paused_at = UtcMillisField(null=True)
    rounds = IntegerField(default=0)
    serial = IntegerField(default=0)
    purged_at = UtcMillisField(null=True)  # letters and answers deleted; `NoticeStats.kept` stays

    @property
    def signed(self) -> str:
        """Return the sender name that readers see."""
        return self.sender_name or self.by_name

    @property
    def reply_address(self) -> str | None:
        """Return the user's own reply address, only if the user who chose it is the sender (decision 4)."""
        return self.by.email or None if self.by and self.by_id == self.reply_to_user_id else None

    @property
    def review(self) -> "NoticeReview":
        """Return the review, or an unsaved empty row. One query."""
        return NoticeReview.of_notice(self)

    @property
    def reminder_rule(self) -> "ReminderRule":
        """Return the reminder rule, or an unsaved row that sends no reminder. One query."""
        return ReminderRule.of_notice(self)

    @property
    def tracking(self) -> "NoticeTracking":
        """Return the tracking options, or an unsaved row with tracking off. One query."""
        return NoticeTracking.of_notice(self)

    @property
    def wording(self) -> "Wording":
        """Return the wording in the organization's language (the first row)."""
        return Wording.select().where(Wording.notice == self).order_by(Wording.id).get()

    @classmethod
    def latest(cls) -> "ModelSelect[Notice]":
        """Notices that are neither draft nor dropped, newest first (T-40)."""
        return (
            cls.select()
            .where(cls.state.not_in((NoticeState.DRAFT, NoticeState.DROPPED)))
            .order_by(cls.confirmed_at.desc(), cls.id.desc())
        )


class NoticePart(BaseModel):
    """Base of tables with at most one row for a notice; a missing row means default values."""

    notice: ForeignKeyField

    @classmethod
    def of_notice(cls, notice: Notice) -> Self:
        """Return the row of a notice, or an unsaved row with default values."""
        return cls.get_or_none(cls.notice == notice) or cls(notice=notice)

    def store(self) -> None:
        """Insert or update the row; delete it if it holds only default values. Call inside a transaction."""
        columns = [field for field in self._meta.sorted_fields if field.name not in ("id", "notice")]
        if any(self.__data__.get(field.name) != field.default for field in columns):
            self.save()
        elif self.id is not None:
            self.delete_instance()
            self.id = None  # type: ignore[assignment]


class NoticeReview(NoticePart):
    """A colleague's review before sending: who was asked, who approved, and why the notice was sent back."""

    notice = ForeignKeyField(Notice, unique=True, backref="+", on_delete="CASCADE")
    notice_id: int
    requested_from = ForeignKeyField(User, null=True, backref="+", on_delete="SET NULL")
    requested_from_id: int | None
    requested_at = UtcMillisField(null=True)
    fingerprint = CharField(default="")  # of wording, questions, files, audience at request time
    reviewed_by = ForeignKeyField(User, null=True, backref="+", on_delete="SET NULL")
    reviewed_by_id: int | None
    note = TextField(default="")  # why it was sent back
    note_by = CharField(default="")


class ReminderRule(NoticePart):
    """Automatic reminders: `times` rounds, `every_s` seconds apart, to readers who have not read the notice."""

    notice = ForeignKeyField(Notice, unique=True, backref="+", on_delete="CASCADE")
    notice_id: int
    every_s = IntegerField(default=0)  # 0: never
    times = IntegerField(default=1)
    before_deadline = BooleanField(default=False)  # also a day before the deadline, if not answered


class NoticeTracking(NoticePart):
    """Tracking options of a notice (D-31). `totals` stay when the page views are deleted."""

    notice = ForeignKeyField(Notice, unique=True, backref="+", on_delete="CASCADE")
    notice_id: int
    opens = BooleanField(default=False)  # by an invisible image
    clicks = BooleanField(default=False)  # by redirect URLs
    totals = JsonField(null=True)

    @property
    def is_on(self) -> bool:
        return self.opens or self.clicks


class Wording(BaseModel):
    """Subject and text of a notice in one language; may hold {{merge fields}}.

    `decorated`: written as rich text in `html` (`mail.html.sanitizer`); `text` is generated from it. If rich text is
    switched off, `html` keeps the earlier version, so that the user can switch it on again.
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
    """A list, group or person as recipient, or as exclusion (`include` false). An exclusion wins (D-13)."""

    notice = ForeignKeyField(Notice, backref="targets", on_delete="CASCADE")
    notice_id: int
    include = BooleanField(default=True)
    kind = CharField(constraints=[_one_of("target_kind", "kind", ("list", "group", "person"))])
    number = IntegerField()

    class Meta:
        indexes = ((("notice", "kind", "number"), True),)


class Attachment(BaseModel):
    """A file of a notice, stored as `file` (a random name) under `data/attachments`.

    `name` and `kind` are derived from the content. `cleaned`: the metadata of a photo was removed.
    A withdrawn attachment keeps its file. `file_deleted_at`: the file was deleted after the school year.
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


class ReminderState(StrEnum):
    """States of a reminder. `nobody`: no reader was left; `missed`: Kairan did not run then, so nothing was sent."""

    WAITING = "waiting"
    BEGUN = "begun"
    NOBODY = "nobody"
    CALLED_OFF = "called_off"
    MISSED = "missed"


class Reminder(BaseModel):
    """A later round of a notice to readers who have not confirmed. The row stores when it begins (law 1).

    `kind`: asked (a user started it), timed (some minutes after the last round), deadline (a day before the deadline).
    `wants`: read or answer. `place`: its number among the automatic rounds.
    """

    notice = ForeignKeyField(Notice, backref="reminders", on_delete="CASCADE")
    notice_id: int
    kind = CharField(constraints=[_one_of("reminder_kind", "kind", ("asked", "timed", "deadline"))])
    wants = CharField(default="read")
    state = CharField(default=ReminderState.WAITING, constraints=[_one_of("reminder_state", "state", ReminderState)])
    place = IntegerField(default=1)
    until = UtcMillisField(null=True)  # kind deadline: the last deadline that it precedes
    by = ForeignKeyField(User, null=True, on_delete="SET NULL")
    by_id: int | None
    made_at = UtcMillisField(default=clock.now)
    send_at = UtcMillisField()
    done_at = UtcMillisField(null=True)
    round = IntegerField(default=0)  # round of its letters, once begun
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
    """One question of a notice. `unit`: who answers once; `deadline`: the last moment for readers (null: none).

    `kind`: own, or the preset that it came from. Consecutive questions of kind `days` with the same `heading` form one
    block: for each day the reader chooses yes, maybe or no.
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
    comment = BooleanField(default=False)  # offers one line of free text

    class Meta:
        indexes = ((("notice", "place"), True),)


class Choice(BaseModel):
    """One choice of a question. `number` is unique in the notice and part of URLs."""

    question = ForeignKeyField(Question, backref="choices", on_delete="CASCADE")
    question_id: int
    number = IntegerField()
    text = CharField()

    class Meta:
        indexes = ((("question", "number"), True),)


# ── 4 Letters ────────────────────────────────────────────────────────────────────────────────────────────────────


class Delivery(BaseModel):
    """One reader of one notice, frozen when sending begins. `reason` empty: gets letters; else why not.

    Reasons: no_address, stopped, left, pending, bounced, complained, excluded, missing (a merge field is empty).
    `token` opens the reader's pages. `values`: merge fields by the names that the wording uses. For a letter about one
    child: `child_name` and `child_room` at that time; `siblings`: the reader also gets letters about other children.
    Then the subject ends with the child's given name.
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
    sender_name = CharField(default="")  # sender name in From; empty: the notice's
    class_teacher = ForeignKeyField(User, null=True, backref="charges", on_delete="SET NULL")  # in sender_name
    class_teacher_id: int | None
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
    """A membership that a delivery covers, with household and class at that time: one cell of the board."""

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
    """States of a letter. `deferred`: retried later; `unknown`: the connection broke after the content was sent."""

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
    """One mail in one SMTP transaction: round n of a delivery, or a service letter without a delivery.

    State changes: `core.delivery.lifecycle.TRANSITIONS`. `handed_over_at` is set before the content goes to the server.
    If it is empty after a worker crash, the letter was not sent. `is_current` is false once a later round exists.
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
    payload = JsonField(default=dict)  # values of a service letter; secrets are cleared once accepted
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
    reason = CharField(default="")  # why skipped or refused: stopped, left, bounced, unknown_user, filtered, full …
    auto_resent = BooleanField(default=False)  # sent again after an unknown outcome: perhaps there twice

    class Meta:
        indexes = (
            (("notice", "is_current", "state"), False),
            (("delivery", "round"), True),
            SQL(
                'CREATE INDEX IF NOT EXISTS "letter_due" ON "letter" ("urgent" DESC, "next_attempt_at", "id")'
                " WHERE state IN ('waiting','deferred')"
            ),
            SQL('CREATE INDEX IF NOT EXISTS "letter_resent" ON "letter" ("notice_id") WHERE auto_resent'),
            SQL('CREATE INDEX IF NOT EXISTS "letter_owned" ON "letter" ("owner") WHERE state = \'sending\''),
            SQL(
                'CREATE INDEX IF NOT EXISTS "letter_gave_way" ON "letter" ("delivery_id")'
                " WHERE is_current AND round > 1 AND state IN ('cancelled','skipped','expired')"
            ),
        )


class Answer(BaseModel):
    """The answer of one unit to one question. The last one counts; earlier rows get `superseded_at` (T-51).

    `unit` is the key of the child, household or person at sending time (`core.notices.questions.answer_keys`).
    `delivery` is the letter that it came by.
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
    """A report that a letter failed or is delayed. `core.inbound.bounces` updates the person's address state."""

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
    """The counts of a notice. They stay after the purge and make years comparable without reading all letters.

    `fixed`: final. Letters: `sent` handed over or refused, `failed` those of them not delivered.
    Households: `asked` to confirm, `read`, `told` by telephone, `read_1h` within an hour; `half_s` seconds until half
    of them had confirmed (null: not yet). Questions: `could_answer`, `answered`. `hours`: first confirmations by local
    hour. Estimates, in letters: `opens_of` with opening tracking, `opened` by readers, `proxied` only by the mail
    provider, `clicks_of` with tracked links, `clicked`.
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
    kept = JsonField(null=True)  # summary after the purge (`core.reports.summaries`)


class ExpiredLink(BaseModel):
    """The digest of a purged delivery's token. Its link still unsubscribes this membership."""

    digest = BlobField()
    membership = ForeignKeyField(Membership, on_delete="CASCADE")
    membership_id: int

    class Meta:
        indexes = ((("digest", "membership"), True),)


class PageView(BaseModel):
    """A fetch of a page by a letter's token, kept for 90 days. It tells scanners from readers; no state depends on it."""

    delivery = ForeignKeyField(Delivery, backref="visits", on_delete="CASCADE")
    delivery_id: int
    at = UtcMillisField(default=clock.now)
    page = CharField()  # r, u, o (image), c<link>, a<choice>; touch, touch a<choice>: pressed by script
    inside = BooleanField(default=False)  # the referrer was one of our pages
    agent = CharField(default="")
    automatic = BooleanField(default=False)  # the user agent is a known scanner or preview


class TrackedLink(BaseModel):
    """A web address in a notice, stored when sending begins. Click URLs redirect only to these (D-31)."""

    notice = ForeignKeyField(Notice, backref="links", on_delete="CASCADE")
    notice_id: int
    number = IntegerField()
    url = TextField()

    class Meta:
        indexes = ((("notice", "number"), True),)


class AttachmentView(BaseModel):
    """A view of an attachment by a reader, or by an organizer before sending (X-01)."""

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
    """A drip message, sent `days` days after signup, at `minute` of the local day (N-12).

    Its wording is the notice with state standing; earlier wordings stay as notices of their own.
    Members who joined before `since` are skipped. `pause_reason`: hand, many (more people at once than allowed).
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
    """A person who passed a drip step in an earlier school year, so it is not sent again. `sent`: by a letter."""

    step = ForeignKeyField(DripStep, backref="had", on_delete="CASCADE")
    step_id: int
    person = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    person_id: int | None
    sent = BooleanField(default=True)
    read = BooleanField(default=False)


class NoticeTemplate(BaseModel):
    """A template to begin a notice from (N-04). Without a list it is for all lists.

    `key`: a changed version of this shipped template, for all lists or one; `hidden`: the shipped template is not shown.
    `questions`: the format of `core.notices.templates`.
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
    """A user's digest of one notice: kind of event, interval, and the time up to which it was sent."""

    notice = ForeignKeyField(Notice, backref="digests", on_delete="CASCADE")
    notice_id: int
    user = ForeignKeyField(User, backref="digests", on_delete="CASCADE")
    user_id: int
    kind = CharField()  # open, reopen, click, read, answer
    timing = CharField()  # hourly, daily, weekly, monthly
    told_until = UtcMillisField()

    class Meta:
        indexes = ((("notice", "user", "kind"), True),)


class JobState(StrEnum):
    """States of a job. `ready`: waits for a user; `asked`, `working`: the worker has it."""

    READY = "ready"
    ASKED = "asked"
    WORKING = "working"
    DONE = "done"
    UNDONE = "undone"


class Job(BaseModel):
    """A long task, such as an import, with its progress in the database."""

    kind = CharField()
    user = ForeignKeyField(User, null=True, on_delete="SET NULL")
    user_id: int | None
    list = ForeignKeyField(MailingList, null=True, on_delete="CASCADE")
    list_id: int | None
    state = CharField(default=JobState.READY, constraints=[_one_of("job_state", "state", JobState)])
    made_at = UtcMillisField(default=clock.now)
    done = IntegerField(default=0)
    total = IntegerField(default=0)
    detail = JsonField(default=dict)


class RolloverState(StrEnum):
    """States of a rollover. `ended`: the classes are empty and wait for the new roster."""

    PLANNED = "planned"
    ENDED = "ended"
    DONE = "done"
    UNDONE = "undone"


class Rollover(BaseModel):
    """The change of the school year in two steps: year end, then new roster. Only one is open at a time.

    `plan`: {leaving grades, class lists}; `roster`: the lines of the new roster and the decisions on them; `undo`: the
    undo logs of each step (`core.imports`).
    """

    by = ForeignKeyField(User, null=True, on_delete="SET NULL")
    by_id: int | None
    state = CharField(default=RolloverState.PLANNED, constraints=[_one_of("rollover_state", "state", RolloverState)])
    made_at = UtcMillisField(default=clock.now)
    ended_at = UtcMillisField(null=True)
    done_at = UtcMillisField(null=True)
    plan = JsonField(default=dict)
    roster = JsonField(default=dict)
    undo = JsonField(default=dict)


# ── 6 Record ─────────────────────────────────────────────────────────────────────────────────────────────────────


class InboundMessage(BaseModel):
    """One mail to one recipient, and its outcome. Unique by the digest of its bytes and the recipient.

    `recipient` is the local part. `outcome`: done, held, silent, dropped, failed (will be retried), quarantined;
    `reason` is the cause. `file`: the name of the raw mail under `data/inbox/kept`, while it exists.
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
    files = JsonField(default=tuple)  # attachments of a reply: [name, bytes] each
    message_key = CharField(default="", index=True)  # digest of author and signed Message-ID, or of the signature

    class Meta:
        indexes = ((("digest", "recipient"), True), (("kind", "outcome"), False))


class ImapStatus(BaseModel):
    """Result of the last IMAP poll (row 1). `reason` is "" if it succeeded; `message` is a source string for `say`."""

    at = UtcMillisField(null=True)
    last_success_at = UtcMillisField(null=True)
    reason = CharField(default="")
    message = CharField(default="")
    detail = CharField(default="")
    taken = IntegerField(default=0)
    others = IntegerField(default=0)  # mails to addresses outside this installation

    @classmethod
    def load_row(cls) -> "ImapStatus":
        """Return row 1; create it on first use, unless the database cannot be written."""
        with optional_write():
            return cls.get_or_create(id=1)[0]
        return cls(id=1)


class ThrottleBucket(BaseModel):
    """Token bucket for all letters (name `all`) or one recipient domain. No letter goes before `paused_until`.

    `said`: the mail server's words when it was paused.
    """

    name = CharField(unique=True)
    tokens = IntegerField(default=0)  # thousandths of a letter
    at = UtcMillisField(default=clock.now)
    paused_until = UtcMillisField(null=True)
    why = CharField(default="")
    said = CharField(default="")


class ClockState(BaseModel):
    """The one row about the wall clock. `offset_ms`: wall clock minus time since boot, in that boot.

    `jump_ms`: by how much the clock was set since an administrator said that it is right.
    """

    boot = CharField()
    offset_ms = BigIntegerField()
    jump_ms = BigIntegerField(default=0)
    jumped_at = UtcMillisField(null=True)


TABLES: tuple[type[BaseModel], ...] = (
    Organization,
    User,
    Device,
    Session,
    KeptForm,
    TotpKey,
    Passkey,
    RecoveryCode,
    Role,
    AuditLog,
    MailingList,
    Person,
    Child,
    Membership,
    Group,
    GroupMember,
    ConsentText,
    LinkRequest,
    ChangeRequest,
    ChildCode,
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
    ClockState,
)


def count_letters(notice: int) -> dict[str, int]:
    """Return the number of current letters of a notice in each state."""
    mine = (Letter.notice == notice) & (Letter.is_current == True)
    return dict(Letter.select(Letter.state, fn.COUNT(Letter.id)).where(mine).group_by(Letter.state).tuples())
