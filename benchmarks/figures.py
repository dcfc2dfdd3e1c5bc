"""Time of the statistics pages with 10,000 members and five years of notices, compared with a page without statistics.

    python -m benchmarks.figures [READERS] [NOTICES_A_YEAR]

Five years are stored as fixed counts. The last thirty days (a notice every two days) have all deliveries and letters;
half of the readers have confirmed. The baseline is 「その他」 (`/admin`) in the same browser: it has session,
permissions and layout. Goals: a year within 0.5 s and at most thirty times the baseline; one notice of 10,000 readers,
counted at each view, within 1 s. `benchmarks.pages` runs this too.
"""

import sys
import time
from datetime import timedelta
from random import Random
from statistics import median

import clock
from app import create_app
from benchmarks import harness
from core.accounts import accounts
from core.notices.start import new_token
from core.reports import stats
from database import bulk_insert, db
from models import (
    Delivery,
    DeliveryMembership,
    Letter,
    MailingList,
    Membership,
    Notice,
    NoticeStats,
    Role,
    Target,
    Wording,
)

READERS, A_YEAR, YEARS, YOUNG = 10_000, 150, 5, 15
PASSWORD = "kumo-no-ue-no-hasi-7"
PLAIN = "/admin"
A_YEARS_MS, TIMES = 500, 30


def main(readers: int = READERS, a_year: int = A_YEAR) -> None:
    print(f"{readers:,} members, {YEARS} years of {a_year} notices\n")
    with harness.installation(readers, port=harness.free_port()) as config:
        fill_database(readers, a_year)
        user = accounts.add_user("守", email=None, password=PASSWORD)
        Role.create(user=user, list_id=0, kind="admin")
        app = create_app(config)
        app.config.update(WTF_CSRF_ENABLED=False)
        browser = app.test_client()
        browser.post("/login", data={"name": "守", "password": PASSWORD})
        newest = Notice.select().order_by(Notice.id.desc()).first()
        began = time.perf_counter()
        stats.refresh_totals(newest, clock.now())
        harness.print_row(f"count one notice of {readers:,} readers", f"{(time.perf_counter() - began) * 1000:.0f} ms")
        began = time.perf_counter()
        stats.refresh_recent_totals(clock.now())
        harness.print_row("the hourly task counts recent notices", f"{(time.perf_counter() - began) * 1000:.0f} ms")
        harness.print_row(
            "this school year, for the first time in the hour", f"{time_page(browser, '/figures'):.0f} ms"
        )
        compare_pages(browser, newest)
        harness.print_row("peak memory", f"{harness.peak_mb():.0f} MB")


def compare_pages(browser, newest: Notice) -> None:
    """Open each page and the baseline in turns; print the medians and their ratios."""
    asked = list_pages(newest)
    times: dict[str, list[float]] = {PLAIN: [], **{path: [] for _, path, _ in asked}}
    for _ in range(harness.ROUNDS):
        for path in times:
            times[path].append(time_page(browser, path))
    plain = median(times[PLAIN])
    harness.print_row("a page that counts nothing (/admin)", f"{plain:.1f} ms")
    for what, path, most in asked:
        taken = median(times[path])
        harness.print_row(what, f"{taken:.0f} ms", f"<= {most} ms", taken <= most)
        goal = (f"<= {TIMES}", taken / plain <= TIMES) if most == A_YEARS_MS else ()
        harness.print_row("  to the page that counts nothing", f"{taken / plain:.1f}", *goal)


def list_pages(newest: Notice) -> list[tuple[str, str, int]]:
    """Return the pages with their URL and their goal in milliseconds."""
    year = clock.school_year(clock.today())
    return [
        ("figures of this school year", "/figures", A_YEARS_MS),
        ("figures of an earlier school year", f"/figures?year={year - 2}", A_YEARS_MS),
        ("the same, fastest first, as a file", f"/figures/figures.csv?year={year - 2}&sort=fast", A_YEARS_MS),
        ("one notice, counted anew, beside the others of its year", f"/figures/{newest.id}", 1000),
    ]


def time_page(browser, path: str) -> float:
    """Return the response time of a page in milliseconds."""
    began = time.perf_counter()
    answer = browser.get(path)
    if answer.status_code != 200:
        raise SystemExit(f"{path}: {answer.status_code}")
    return (time.perf_counter() - began) * 1000


def fill_database(readers: int, a_year: int) -> None:
    """Insert five years of notices; the recent ones with letters."""
    chance, everybody, now = Random(57), MailingList.get(), clock.now()  # noqa: S311
    people = list(Membership.select(Membership.person, Membership.id).tuples())
    old = [timedelta(days=31 + 365 * n / a_year) for n in range(a_year * YEARS)]
    young = [timedelta(days=2 * n, hours=3) for n in range(YOUNG)]
    with db.atomic():
        for ago in (*old, *young[::-1]):
            at = now - ago
            notice = Notice.create(state="sent", started_at=at, confirmed_at=at, finished_at=at, rounds=1)
            Wording.create(notice=notice, subject="授業参観・学級懇談会のお知らせ", text=harness.TEXT)
            Target.create(notice=notice, kind="list", number=everybody.id)
            if ago in young:
                write_deliveries(notice, people, chance)
            else:
                NoticeStats.create(
                    notice=notice,
                    at=at,
                    fixed=True,
                    sent=readers,
                    failed=chance.randrange(50),
                    asked=readers,
                    read=chance.randrange(readers),
                    half_s=chance.randrange(90_000),
                    hours=[readers // 30] * 24,
                )


def write_deliveries(notice: Notice, people: list[tuple[int, int]], chance: Random) -> None:
    """Insert deliveries, covered memberships and letters of a notice; half of the readers have confirmed."""
    at = notice.started_at
    bulk_insert(
        Delivery,
        (
            {
                "notice": notice.id,
                "person": person,
                "token": new_token(),
                "list": 1,
                "read_at": at + timedelta(seconds=chance.randrange(100_000)) if chance.random() < 0.5 else None,
            }
            for person, _ in people
        ),
    )
    made = dict(Delivery.select(Delivery.person, Delivery.id).where(Delivery.notice == notice).tuples())
    bulk_insert(
        DeliveryMembership, ({"delivery": made[p], "membership": m, "list": 1, "household": f"h{p}"} for p, m in people)
    )
    bulk_insert(
        Letter,
        (
            {
                "notice": notice.id,
                "delivery": made[p],
                "person": p,
                "address": f"r{p}@parents.example",
                "domain": "parents.example",
                "state": "accepted",
                "done_at": at,
                "expires_at": at,
            }
            for p, _ in people
        ),
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
