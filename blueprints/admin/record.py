"""The record: who did what and when (E-05, T-12)."""

from flask import request
from peewee import JOIN

from blueprints.admin.routes import Answer, bp
from models import Log, MailingList, User
from web import answer, needs, page_of
from words import N_

ACTIONS = {
    "access.refused": N_("Unauthorized access: a cookie from before the logout was used"),
    "answer.entered": N_("Answer entered by an organizer"),
    "board.exported": N_("Board written to a file"),
    "carrier.paused": N_("Sending to one carrier paused: it refused too much"),
    "carrier.resumed": N_("Sending to a paused carrier tried again"),
    "delivery.replied": N_("A reader replied by mail"),
    "delivery.strange": N_("A reader said: not meant for me"),
    "delivery.strange_taken_back": N_("“Not meant for me” taken back"),
    "delivery.told": N_("Told by telephone"),
    "delivery.told_taken_back": N_("“Told by telephone” taken back"),
    "demo.filled": N_("Sample school put in"),
    "figures.exported": N_("Figures written to a file"),
    "group.added": N_("Group made"),
    "group.changed": N_("Group changed"),
    "group.fixed": N_("Members of a group fixed"),
    "group.members_added": N_("Members put into a group"),
    "group.members_removed": N_("Members taken out of a group"),
    "group.removed": N_("Group removed"),
    "house.backed_up": N_("Backup written"),
    "house.restored": N_("Backup restored"),
    "household.joined": N_("Households joined"),
    "household.split": N_("Household divided"),
    "incoming.quarantined": N_("An incoming mail could not be read and was put aside"),
    "invitation.sent": N_("Invitation sent"),
    "invitation.used": N_("Invitation taken up"),
    "list.added": N_("List added"),
    "list.applicants_dropped": N_("Waiting registrations dropped"),
    "list.changed": N_("List changed"),
    "list.closed": N_("List closed"),
    "list.code_rotated": N_("A list has a new code for joining"),
    "list.day_closed": N_("Registration day ended"),
    "list.day_opened": N_("Registration day opened"),
    "list.in_charge_set": N_("Persons in charge set"),
    "list.joining_changed": N_("Rules for joining a list changed"),
    "list.mail_changed": N_("How a list takes mail was changed"),
    "list.reception": N_("Monthly reception test set"),
    "list.reopened": N_("List opened again"),
    "list.slips_rotated": N_("Children have new codes for joining"),
    "login.refused": N_("Login refused: many wrong tries"),
    "login.sent": N_("Log-in link sent"),
    "login.used": N_("Logged in by a link"),
    "mail.loop_alarm": N_("Mails going in circles were stopped"),
    "mail.policy_alarm": N_("Our mail is refused as not trusted: the fault is ours"),
    "notice.asked": N_("A second person was asked"),
    "notice.approved": N_("Approved by a second person"),
    "notice.sent_back": N_("Sent back by the second person"),
    "member.changed_self": N_("A reader corrected the own entry"),
    "member.address_changed_self": N_("A reader changed the own address"),
    "member.deleted_self": N_("A reader deleted the own entry"),
    "member.added": N_("Member added"),
    "member.address_changed": N_("Member's address changed"),
    "member.address_released": N_("Member's address released"),
    "member.approved": N_("Member approved"),
    "member.changed": N_("Member changed"),
    "member.copied": N_("Members copied"),
    "member.joined": N_("Somebody joined by mail"),
    "member.left": N_("Somebody left by mail"),
    "member.moved": N_("Members moved"),
    "member.refused": N_("Member not approved"),
    "member.removed": N_("Member removed"),
    "member.resumed": N_("Mail to a member resumed"),
    "member.stopped": N_("Mail to a member stopped"),
    "notice.booked": N_("Notice booked"),
    "notice.cancelled": N_("Notice cancelled, back to the drafts"),
    "notice.confirmed": N_("Notice sent off"),
    "notice.dropped": N_("Notice given up"),
    "notice.file_withdrawn": N_("File of a notice withdrawn"),
    "notice.held_changed": N_("Notice held: the recipients had changed"),
    "notice.held_late": N_("Notice held: it was late"),
    "notice.held_proof": N_("Posted mail held: its sender must release it"),
    "notice.posted": N_("Notice came by mail"),
    "notice.released": N_("Held notice sent after all"),
    "notice.reminded": N_("Sent again to those who had not confirmed"),
    "notice.answer_entered": N_("Answer entered for somebody"),
    "notice.answers_exported": N_("Answers written to a file"),
    "notice.reminder_asked": N_("To be sent again to those who had not confirmed"),
    "notice.reminder_called_off": N_("Sending again was called off"),
    "notice.reminder_missed": N_("Not sent again: Kairan was not running at that time"),
    "notice.retimed": N_("Time of a booking changed"),
    "notice.started": N_("Sending began"),
    "notice.stopped": N_("The rest of a notice was stopped"),
    "notice.thrown_away": N_("Draft deleted"),
    "notice.unknown_sent_again": N_("Letters of unknown outcome sent again"),
    "notice.withdrawn": N_("Notice withdrawn"),
    "organization.changed": N_("Settings changed"),
    "organization.renewal": N_("Reminder of a renewal date sent"),
    "organization.set_up": N_("First set-up"),
    "organization.tested": N_("Test letter sent"),
    "organization.well": N_("Monthly letter about the machine sent"),
    "password.changed": N_("Password changed"),
    "password.link_made": N_("Link for a new password made on the terminal"),
    "password.sent": N_("Link for a new password sent"),
    "password.used": N_("Link for a new password used"),
    "person.bounced": N_("Address noted as not existing"),
    "person.complained": N_("Our mail was reported as spam"),
    "person.fine": N_("Address works again"),
    "person.refusing": N_("A phone's filter refuses our mail"),
    "rollover.begun": N_("New school year: planning begun"),
    "rollover.ended": N_("New school year: the old year ended"),
    "rollover.given_up": N_("New school year: plan dropped"),
    "rollover.list_opened": N_("New school year: a list opened without its roster"),
    "rollover.roster_in": N_("New school year: the new roster brought in"),
    "rollover.roster_undone": N_("New school year: the new roster taken back"),
    "rollover.undone": N_("New school year: the year's end taken back"),
    "role.end_told": N_("Told whose role ends soon"),
    "role.given": N_("Role given"),
    "role.taken": N_("Role removed"),
    "roster.exported": N_("Roster written to a file"),
    "roster.import_undone": N_("Import of a roster taken back"),
    "roster.imported": N_("Roster loaded"),
    "sender.added": N_("Sender by mail added"),
    "sender.changed": N_("Sender by mail changed"),
    "sender.removed": N_("Sender by mail removed"),
    "session.ended": N_("Logged out"),
    "session.started": N_("Logged in"),
    "step.added": N_("Letter after joining added"),
    "step.changed": N_("Letter after joining changed"),
    "step.ended": N_("Letter after joining ended"),
    "step.paused": N_("Letter after joining paused"),
    "step.resumed": N_("Letter after joining goes on"),
    "user.email_asked": N_("New address of an organizer to be confirmed"),
    "email.used": N_("New address of an organizer confirmed"),
    "user.changed": N_("Account changed"),
    "user.disabled": N_("Account disabled"),
    "user.enabled": N_("Account opened again"),
    "user.invited": N_("Colleague invited"),
}
KINDS = {
    "notice": N_("Notices"),
    "session": N_("Logins"),
    "user": N_("Users"),
    "list": N_("Lists"),
    "member": N_("Members"),
}


@bp.get("/admin/record")
@needs("admin")
def log() -> Answer:
    """Show the record, newest first; `?kind=` limits it to one noun."""
    kind = request.args.get("kind", "")
    query = Log.select(Log, User).join(User, JOIN.LEFT_OUTER).order_by(Log.at.desc(), Log.id.desc())
    found = page_of(query.where(Log.kind == kind) if kind in KINDS else query)
    return answer("admin/record.html", found=found, actions=ACTIONS, kinds=KINDS, kind=kind, names=_names(found.rows))


def _names(rows: list[Log]) -> dict[tuple[str, int], str]:
    """Return the present names of the users and lists that the lines are about."""
    wanted = {kind: {row.number for row in rows if row.kind == kind} for kind in ("user", "list")}
    users = User.select(User.id, User.name).where(User.id.in_(wanted["user"])).tuples()
    lists = MailingList.select(MailingList.id, MailingList.name).where(MailingList.id.in_(wanted["list"])).tuples()
    return {("user", number): name for number, name in users} | {("list", number): name for number, name in lists}
