"""Who may use each route: the table that the matrix walks and from which `docs/security.md` is written.

A new route needs one line here: endpoint, or "endpoint METHOD" if the methods differ, or "endpoint PARAMETER" if the
endpoint has a second address with one more parameter. The value is one of

  open                  no login; the view checks its own mark or token
  user                  every logged-in user; the page shows only what the roles allow
  any NEED              the permission in at least one list
  admin                 administrators
  own                   the user's own session or account
  list NEED             the permission in the list of the address
  person NEED           the permission in one of the lists of the person
  place NEED            the permission in the list of the membership
  request NEED          the permission in all lists of the person whom a change request is about
  template NEED         the permission in the list of the template
  STATE NEED            the permission over a notice in this state: `view` in one of its lists, the others in all
  direct NEED           a letter to one person before it is sent: its writer and administrators
  results NEED          the permission in one of the lists of a sent notice
  family NEED           the permission in the list of the family whose answer or reply it is

NEED is `view`, `send` or `manage`; each includes the ones before it.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from flask import Flask
from werkzeug.routing import Rule

NOTICE_STATES = ("draft", "direct", "asked", "held", "late", "scheduled", "paused", "sent")
NEEDS = ("view", "send", "manage", "admin")
PARAMETER = re.compile(r"<(?:\w+(?:\([^)]*\))?:)?(\w+)>")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

ACCESS: dict[str, str] = {
    "account.accept_invitation": "open",
    "account.add_passkey": "own",
    "account.ask_second_factor": "open",
    "account.change_password": "own",
    "account.check_second_factor": "open",
    "account.confirm_app": "own",
    "account.confirm_email": "open",
    "account.confirm_identity": "own",
    "account.confirm_passkey_options": "own",
    "account.confirm_with_code": "own",
    "account.confirm_with_passkey": "own",
    "account.confirm_with_password": "own",
    "account.end_session": "own",
    "account.forget_pending_email": "own",
    "account.index": "own",
    "account.log_in_with_passkey": "open",
    "account.login": "open",
    "account.login_by_link": "open",
    "account.login_passkey_options": "open",
    "account.logout": "own",
    "account.passkey_options": "own",
    "account.remove_app": "own",
    "account.remove_device": "own",
    "account.remove_passkey": "own",
    "account.rename_device": "own",
    "account.replace_recovery_codes": "own",
    "account.request_email_change": "own",
    "account.request_login_link": "open",
    "account.request_password_link": "open",
    "account.resend_confirmation": "own",
    "account.reset_password": "open",
    "account.save_profile": "own",
    "account.show_app": "own",
    "account.show_kept_form": "own",
    "account.show_second_factor": "own",
    "account.start_app": "own",
    "admin.add_carrier": "admin",
    "admin.confirm_clock": "admin",
    "admin.download_backup": "admin",
    "admin.edit_carrier": "admin",
    "admin.health": "admin",
    "admin.index": "user",
    "admin.list_audit_log": "admin",
    "admin.list_carriers": "admin",
    "admin.list_outbox": "admin",
    "admin.mail_page": "admin",
    "admin.organization_page": "admin",
    "admin.outbox_message_html": "admin",
    "admin.reset_carrier": "admin",
    "admin.retention_page": "admin",
    "admin.return_to_practice": "admin",
    "admin.safety_page": "admin",
    "admin.save_mail_mode": "admin",
    "admin.save_mailbox": "admin",
    "admin.save_organization": "admin",
    "admin.save_renewal_dates": "admin",
    "admin.save_safety": "admin",
    "admin.save_sending_rates": "admin",
    "admin.save_smtp_server": "admin",
    "admin.send_health_email": "admin",
    "admin.send_test_email": "admin",
    "admin.show_copy": "admin",
    "admin.show_outbox_message": "admin",
    "admin.take_over": "admin",
    "admin.test_mailbox": "admin",
    "allowed_senders.add_sender": "list manage",
    "allowed_senders.edit_sender": "list manage",
    "allowed_senders.index": "list manage",
    "allowed_senders.remove_sender": "list manage",
    "allowed_senders.save_posting_rules": "list manage",
    "allowed_senders.send_trial_email": "list manage",
    "drip.add_message": "list manage",
    "drip.edit_message": "list manage",
    "drip.end_message": "list manage",
    "drip.index": "list manage",
    "drip.pause_message": "list manage",
    "drip.resume_message": "list manage",
    "drip.resume_skipping": "list manage",
    "drip.send_test_email": "list manage",
    "drip.show_message": "list manage",
    "history.breach_report_csv": "sent send",
    "history.choose_breached_notice": "any send",
    "history.index": "user",
    "history.save_breach_assessment": "sent send",
    "history.show": "sent view",
    "history.show_by_old_address": "sent view",
    "history.show_breach_report": "sent send",
    "history.show_text": "sent view",
    "home.index": "user",
    "inbound.confirm_signup": "open",
    "inbound.download_raw": "admin",
    "inbound.download_reply_file": "family view",
    "inbound.index": "admin",
    "inbound.release_held_post": "open",
    "inbound.resume_membership": "open",
    "inbound.retry_message": "admin",
    "inbound.show": "admin",
    "inbound.show_held_post": "open",
    "inbound.show_membership": "open",
    "inbound.show_signup": "open",
    "inbound.stop_membership": "open",
    "lists.add_group": "list send",
    "lists.add_list": "admin",
    "lists.add_rule": "list send",
    "lists.add_to_group": "list send",
    "lists.approve_members": "list manage",
    "lists.choose_group": "list manage",
    "lists.choose_import_rows": "list manage",
    "lists.choose_move_copy": "admin",
    "lists.class_teachers": "list manage",
    "lists.close_group": "list send",
    "lists.close_list": "admin",
    "lists.confirm_export": "list manage",
    "lists.confirm_move_copy": "admin",
    "lists.edit_group": "list send",
    "lists.edit_list": "list manage",
    "lists.export_csv": "list manage",
    "lists.freeze_group": "list send",
    "lists.groups": "list send",
    "lists.index": "user",
    "lists.preview_group": "list send",
    "lists.remap_import": "list manage",
    "lists.remove_from_group": "list send",
    "lists.remove_members": "list manage",
    "lists.resume_members": "list manage",
    "lists.run_import": "list manage",
    "lists.run_move_copy": "admin",
    "lists.save_class_teachers": "list manage",
    "lists.save_group": "list send",
    "lists.save_monthly_test": "list manage",
    "lists.show": "list view",
    "lists.show_import": "list manage",
    "lists.show_move_copy": "admin",
    "lists.show_non_readers": "list view",
    "lists.stop_members": "list manage",
    "lists.undo_import": "list manage",
    "lists.upload_roster": "list manage",
    "members.accept_request": "request manage",
    "members.add_member": "list manage",
    "members.approve_membership": "place manage",
    "members.check_direct_message": "direct send",
    "members.edit_address": "person manage",
    "members.edit_household": "person manage",
    "members.edit_membership": "place manage",
    "members.edit_person": "person manage",
    "members.print_bag_slips": "list manage",
    "members.refuse_request": "request manage",
    "members.release_address": "person manage",
    "members.remove_from_list": "place manage",
    "members.resume_membership": "place manage",
    "members.send_test_email": "person send",
    "members.show": "person view",
    "members.show_requests": "any manage",
    "members.show_carrier_help": "person view",
    "members.split_household": "person manage",
    "members.stop_membership": "place manage",
    "members.write_direct_message": "person send",
    "notice_templates.add_question": "any manage",
    "notice_templates.add_question code": "template manage",
    "notice_templates.add_template": "any manage",
    "notice_templates.create_draft": "template send",
    "notice_templates.edit_template": "template manage",
    "notice_templates.index": "any send",
    "notice_templates.remove_question": "any manage",
    "notice_templates.remove_question code": "template manage",
    "notice_templates.remove_template": "template manage",
    "notice_templates.show_image": "template send",
    "notice_templates.unhide_shipped": "admin",
    "notices.add_choice": "draft send",
    "notices.add_question": "draft send",
    "notices.approve_notice": "asked send",
    "notices.cancel_by_link": "open",
    "notices.cancel_reminder": "sent send",
    "notices.cancel_reminder_by_link": "open",
    "notices.cancel_review": "asked send",
    "notices.cancel_sending": "held send",
    "notices.check_page": "draft send",
    "notices.confirm_send": "draft send",
    "notices.count_recipients": "draft send",
    "notices.create_correction": "sent send",
    "notices.create_draft": "any send",
    "notices.delete_draft": "draft send",
    "notices.discard_held": "late send",
    "notices.download_file": "sent view",
    "notices.edit_content": "draft send",
    "notices.edit_recipients": "draft send",
    "notices.edit_sender_name": "draft manage",
    "notices.edit_tracking": "draft send",
    "notices.files_under_review": "asked send",
    "notices.index": "user",
    "notices.letter_html": "sent view",
    "notices.list_all_recipients": "draft send",
    "notices.look_at_urgent": "template send",
    "notices.list_scheduled": "user",
    "notices.overwrite_content": "draft send",
    "notices.preview_html": "draft send",
    "notices.reader_preview": "draft send",
    "notices.remove_choice": "draft send",
    "notices.remove_file": "draft send",
    "notices.remove_question": "draft send",
    "notices.reschedule": "scheduled send",
    "notices.resend_unknown": "sent send",
    "notices.resend_failed": "sent send",
    "notices.retry_carrier": "any send",
    "notices.return_to_author": "asked send",
    "notices.review_file": "draft send",
    "notices.review_page": "asked send",
    "notices.reviewed_files": "draft send",
    "notices.save_and_add_files": "draft send",
    "notices.save_and_append_image": "draft send",
    "notices.save_and_check": "draft send",
    "notices.save_and_edit_sender_name": "draft send",
    "notices.save_and_edit_tracking": "draft send",
    "notices.save_and_open_groups": "draft send",
    "notices.save_and_remove_file": "draft send",
    "notices.save_and_search": "draft send",
    "notices.save_content": "draft send",
    "notices.save_recipients": "draft send",
    "notices.save_sender_name": "draft manage",
    "notices.save_tracking": "draft send",
    "notices.search_people": "draft send",
    "notices.send_form": "draft send",
    "notices.send_held": "late send",
    "notices.send_reminder": "sent send",
    "notices.send_test_email": "draft send",
    "notices.send_urgent": "template send",
    "notices.set_deadline": "draft send",
    "notices.show": "sent view",
    "notices.show_cancel_link": "open",
    "notices.show_image": "sent view",
    "notices.show_reminder_cancel_link": "open",
    "notices.show_reminder_form": "sent send",
    "notices.start_correction": "sent send",
    "notices.start_follow_up": "sent send",
    "notices.stop_sending": "paused send",
    "notices.switch_to_plain_text": "draft send",
    "notices.switch_to_rich_text": "draft send",
    "notices.unreachable_links": "draft send",
    "notices.upload_files": "draft send",
    "notices.upload_image": "draft send",
    "notices.urgent_page": "any send",
    "notices.withdraw_and_apologise": "sent send",
    "notices.withdraw_file": "sent send",
    "notices.withdraw_notice": "sent send",
    "responses.answers_csv": "sent view",
    "responses.board_csv": "sent view",
    "responses.enter_answer": "family send",
    "responses.mark_phoned": "results send",
    "responses.show_answers": "sent view",
    "responses.show_board": "sent view",
    "responses.show_phone_list": "sent view",
    "responses.unmark_phoned": "results send",
    "rollover.apply_roster": "admin",
    "rollover.discard_plan": "admin",
    "rollover.discard_roster": "admin",
    "rollover.end_year": "admin",
    "rollover.index": "admin",
    "rollover.reopen_list": "admin",
    "rollover.save_decisions": "admin",
    "rollover.save_handover_note": "admin",
    "rollover.save_plan": "admin",
    "rollover.show_handover_sheet": "admin",
    "rollover.start_planning": "admin",
    "rollover.undo_step": "admin",
    "rollover.upload_roster": "admin",
    "setup.run_setup": "open",
    "setup.setup_welcome": "open",
    "signup.approve_member": "list manage",
    "signup.close_registration_day": "list manage",
    "signup.discard_queue": "list manage",
    "signup.index": "list manage",
    "signup.open_registration_day": "list manage",
    "signup.pending_approvals": "any manage",
    "signup.qr_code_png": "list manage",
    "signup.registration_slips": "list manage",
    "signup.reject_member": "list manage",
    "signup.rotate_child_codes": "list manage",
    "signup.rotate_list_code": "list manage",
    "signup.save": "list manage",
    "signup.show_handout": "list manage",
    "stats.address_report_csv": "user",
    "stats.address_report_page": "user",
    "stats.index": "user",
    "stats.notices_csv": "user",
    "stats.show": "sent view",
    "users.disable_user": "admin",
    "users.enable_user": "admin",
    "users.end_sessions": "admin",
    "users.grant_role": "admin",
    "users.index": "admin",
    "users.invite_user": "admin",
    "users.resend_invitation": "admin",
    "users.reset_second_factor": "admin",
    "users.revoke_role": "admin",
    "users.show_user": "admin",
}


class Route(NamedTuple):
    """One method of one address. `kind` and `need` are the words of ACCESS; need is "" for one-word values."""

    endpoint: str
    method: str
    rule: str
    kind: str
    need: str

    @property
    def key(self) -> str:
        return f"{self.method} {self.rule}"


def classify(rule: Rule, method: str) -> str | None:
    """Return the value of ACCESS for a route; the readers' pages are open as a whole. None: nobody classified it."""
    if rule.endpoint.startswith("public.") or rule.endpoint == "static":
        return "open"
    words = (method, *PARAMETER.findall(rule.rule))
    keys = [*(f"{rule.endpoint} {word}" for word in words), rule.endpoint]
    return next((ACCESS[key] for key in keys if key in ACCESS), None)


def rules(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Give (rule, method) of every route, without HEAD and OPTIONS."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda one: (one.endpoint, one.rule)):
        for method in METHODS:
            if method in (rule.methods or ()):
                yield rule, method


def unclassified(app: Flask) -> list[str]:
    """Return a sentence for each route without a line in ACCESS."""
    return sorted(
        {
            f'{method} {rule.rule}: nobody said who may use it; add "{rule.endpoint}" to ACCESS in tests/security/access.py'
            for rule, method in rules(app)
            if classify(rule, method) is None
        }
    )


def outdated(app: Flask) -> list[str]:
    """Return the lines of ACCESS whose route is gone."""
    real = {rule.endpoint for rule, _method in rules(app)}
    return sorted(key for key in ACCESS if key.split()[0] not in real)


def guarded_routes(app: Flask) -> list[Route]:
    """Return every route that wants a login."""
    found = []
    for rule, method in rules(app):
        value = classify(rule, method)
        if value and value != "open":
            kind, _, need = value.partition(" ")
            found.append(Route(rule.endpoint, method, rule.rule, kind, need))
    return found


# ── who may: the rules of T-33 once more, written apart from core/permissions ──────────────────────────────────────


class RoleCase(NamedTuple):
    """A user of the matrix. levels: list key ("a", "b", "*" for all lists) → 1 view, 2 send, 3 manage, 4 administer."""

    name: str
    levels: dict[str, int]
    ended: bool = False

    def level(self, key: str) -> int:
        return 0 if self.ended else max(self.levels.get("*", 0), self.levels.get(key, 0))

    @property
    def best(self) -> int:
        return 0 if self.ended else max(self.levels.values(), default=0)

    @property
    def is_admin(self) -> bool:
        return self.level("*") >= 4


NOBODY = "nobody"
PRACTISING = "manager of b"
"""The user with a practice list."""
ROLES = (
    RoleCase(NOBODY, {}),
    RoleCase("no role", {}),
    RoleCase("role ended yesterday", {"a": 3}, ended=True),
    RoleCase("viewer of a", {"a": 1}),
    RoleCase("sender of a", {"a": 2}),
    RoleCase("manager of a", {"a": 3}),
    RoleCase("viewer of b", {"b": 1}),
    RoleCase("sender of b", {"b": 2}),
    RoleCase("manager of b", {"b": 3}),
    RoleCase("viewer of all", {"*": 1}),
    RoleCase("manager of all", {"*": 3}),
    RoleCase("administrator", {"*": 4}),
)

LISTS_OF = {
    "chief": (),
    "practice": (),
    "a": ("a",),
    "next": ("a",),
    "b": ("b",),
    "both": ("a", "b"),
    "whole": ("whole",),
}
"""The lists that an object stands in: a person, or a notice by its recipients. chief: what belongs to one user."""


def is_allowed(role: RoleCase, kind: str, need: str, owner: str) -> bool:
    """Say whether a role may use a route of this kind on an object of this owner."""
    if role.name == NOBODY or owner == "chief":
        return False
    if owner == "practice":  # it has no members to manage
        return role.name == PRACTISING and (kind == "draft" or need in ("view", "send"))
    enough = NEEDS.index(need) + 1 if need else 0
    levels = [role.level(key) for key in LISTS_OF[owner]]
    if kind in ("place", "family") and owner in ("both", "whole"):  # the first family is that of list a
        return role.level("a") >= enough
    if kind in ("user", "own"):
        return True
    if kind in ("admin", "direct"):  # nobody of the matrix wrote the letter to one person
        return role.is_admin
    if kind == "any":
        return role.best >= enough
    if kind == "results" and owner == "whole":
        return role.best >= enough
    if kind in ("list", "person", "place", "template", "results", "family"):
        return max(levels) >= enough
    if need == "view":
        return max(levels) >= enough or (owner == "whole" and role.best >= 1)
    return min(levels) >= enough
