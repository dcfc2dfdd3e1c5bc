"""What is kept, and until when: the clock of the school year, files, visits, backups (design decision 15)."""

import clock
from blueprints.admin.views import Answer, bp
from core import backup
from core.delivery.dev_outbox import RETENTION_DAYS
from core.inbound import spool
from core.responses import tracking
from core.retention import purge
from core.settings import purge_starts_at
from models import Notice
from web import _, render_page, requires


@bp.get("/admin/keeping")
@requires("admin")
def retention_page() -> Answer:
    """Show it in one table, with the day on which letters are deleted next and what was deleted last."""
    now = clock.now()
    done = Notice.select().where(Notice.purged_at.is_null(False))
    return render_page(
        "admin/retention.html",
        next_day=(next_day := purge.next_purge_date(now)),
        next_year=clock.to_local(next_day).year,
        told=purge_starts_at(now),
        running=purge.is_purging(now),
        waiting=purge.purgeable_notices(clock.school_year(clock.to_local(now).date())).count(),
        done=done.count(),
        last=done.order_by(Notice.purged_at.desc()).first(),
        rows=_retention_rows(),
        safety=backup.current_status(now),
    )


def _retention_rows() -> list[tuple[str, str, str]]:
    """Return what is kept, until when, and what stays of it."""
    year_over = _("%(n)s days after the end of the school year", n=purge.PURGE_AFTER.days)
    nothing = _("nothing")
    return [
        (
            _("Letters with the names in them, who confirmed, answers, links in letters"),
            year_over,
            _("sums: letters by state, households by class and hour, choices; links to stop the mail work on"),
        ),
        (
            _("Subject and text of notices, the record of who did what"),
            _("as long as this installation"),
            _("everything, as it was written; so name no family in a notice to many"),
        ),
        (_("Replies and registrations by mail"), year_over, nothing),
        (_("Raw mails that came in"), _("%(n)s days", n=spool.RAW_RETENTION_DAYS), nothing),
        (
            _("Pages visited, openings, links opened"),
            _("%(n)s days", n=tracking.VISIT_RETENTION.days),
            _("sums, where they are counted"),
        ),
        (_("Attached files"), _("closed with the school year, deleted a month later"), _("name and size")),
        (_("Families who left every list"), year_over, nothing),
        (_("Families in a list, stopped ones too"), _("as long as they stand in it"), _("everything")),
        (_("Practice letters in the outbox"), _("%(n)s days", n=RETENTION_DAYS), nothing),
    ]
