"""Answer load: 2,000 readers answer within a minute while a notice is sent. Measures lost answers and latency.

    python -m benchmarks.answers [SECONDS]

Requests follow a fixed schedule, independent of response times. Each reader opens a choice and presses; every fourth
then changes the answer. The same load then runs against a bare page on the same server, also during sending.
Goals: each reader's last answer counts, no error, p99 of a press below 1 s.
"""

import asyncio
import os
import sys
import time
from dataclasses import dataclass, field
from statistics import median, quantiles

from benchmarks import harness
from benchmarks.pages import request, serving
from core.notices import questions
from core.notices.questions import QuestionDraft
from database import db
from models import Answer, Delivery, Letter, Notice

READERS = 2000
CHANGES = 4  # every fourth reader changes the answer


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader: start time as a fraction of the duration, and the requests in order."""

    due: float
    steps: tuple[tuple[str, str, str], ...]  # method, path, form


@dataclass
class CrowdResult:
    """Seconds for each opening and each press, and the failed responses."""

    opened: list[float] = field(default_factory=list)
    pressed: list[float] = field(default_factory=list)
    errors: int = 0

    @property
    def p99_ms(self) -> float:
        return quantiles(self.pressed, n=100)[98] * 1000


def run_crowd(readers: list[Reader], port: int, seconds: float) -> CrowdResult:
    """Run all readers on schedule; each request uses a new connection, as phones do."""
    crowd = CrowdResult()
    began = time.monotonic()

    async def everybody() -> None:
        await asyncio.gather(*[_run_reader(reader, port, began + reader.due * seconds, crowd) for reader in readers])

    asyncio.run(everybody())
    return crowd


async def _run_reader(reader: Reader, port: int, due: float, crowd: CrowdResult) -> None:
    await asyncio.sleep(max(0.0, due - time.monotonic()))
    for method, path, form in reader.steps:
        began = time.perf_counter()
        try:
            stream = await asyncio.open_connection("127.0.0.1", port)
            status, _ = await asyncio.wait_for(request(*stream, method, path, form), 60)
            stream[1].close()
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            status = 0
        if status in (200, 303):
            (crowd.pressed if method == "POST" else crowd.opened).append(time.perf_counter() - began)
        else:
            crowd.errors += 1


def start_notice_with_question() -> tuple[Notice, list[str]]:
    """Start a notice with a question and send its letters; return it with the readers' tokens."""
    notice = harness.start_notice()
    with db.atomic():
        questions.save_questions(notice, [QuestionDraft("出席されますか。", ("出席する", "欠席する"), unit="person")])
        Letter.update(state="accepted").where(Letter.notice == notice).execute()
    rows = Delivery.select(Delivery.token).where(Delivery.notice == notice).order_by(Delivery.id)
    return notice, [one.token for one in rows]


def changes_answer(place: int) -> bool:
    return place % CHANGES == 0


def build_readers(tokens: list[str], bare: bool = False) -> list[Reader]:
    """Return the readers, spread evenly over the duration."""
    found = []
    for place, token in enumerate(tokens):
        steps = []
        for choice in (1, 2) if changes_answer(place) else (1,):
            page = f"/a/{token}/{choice}"
            steps += [] if bare else [("GET", page, "")]
            steps.append(("POST", "/hello" if bare else page, f"q1={choice}"))
        found.append(Reader(place / len(tokens), tuple(steps)))
    return found


def count_lost_answers(notice: Notice, tokens: list[str]) -> int:
    """Return the number of readers whose last answer does not count."""
    first, second = questions.load_questions(notice)[0].options
    rows = Answer.select(Delivery.token, Answer.choice).join(Delivery).where(Answer.superseded_at.is_null())
    counted = dict(rows.tuples())
    wanted = {token: second.id if changes_answer(place) else first.id for place, token in enumerate(tokens)}
    return sum(counted.get(token) != choice for token, choice in wanted.items())


def main(seconds: float = 60.0) -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {READERS} readers in {seconds:.0f} s\n")
    port, bare = harness.free_port(), harness.free_port()
    with harness.run_smtp_sink() as sink, harness.installation(READERS, sink, http=f"127.0.0.1:{port}") as config:
        notice, tokens = start_notice_with_question()
        own = {"KAIRAN_DATA": str(config.data), "KAIRAN_HTTP": config.http, "KAIRAN_SMTP": config.smtp}
        with (
            serving("cli", "pages", port=port, **own),
            serving("benchmarks.baseline_app", f"127.0.0.1:{bare}", port=bare),
            harness.run_workers(config, 2),
        ):
            going_out = harness.start_notice()
            crowd = run_crowd(build_readers(tokens), port, seconds)
            sent = harness.count_accepted(going_out)
            harness.start_notice()
            hello = run_crowd(build_readers(tokens, bare=True), bare, seconds)
        _print_table(crowd, hello, count_lost_answers(notice, tokens), sent)


def _print_table(crowd: CrowdResult, hello: CrowdResult, missing: int, sent: int) -> None:
    harness.print_row("presses", f"{len(crowd.pressed):,}")
    harness.print_row("  last answers lost", str(missing), "goal 0", missing == 0)
    harness.print_row("  errors", str(crowd.errors), "goal 0", crowd.errors == 0)
    harness.print_row("  median of a press", f"{median(crowd.pressed) * 1000:.0f} ms")
    harness.print_row("  p99 of a press", f"{crowd.p99_ms:.0f} ms", "goal < 1000 ms", crowd.p99_ms < 1000)
    harness.print_row("  p99 of an opening", f"{quantiles(crowd.opened, n=100)[98] * 1000:.0f} ms")
    harness.print_row("  letters sent meanwhile", f"{sent:,}")
    harness.print_row("bare page, the same crowd, p99", f"{hello.p99_ms:.0f} ms")
    harness.print_row("  p99 of a press to that of the bare page", f"{crowd.p99_ms / hello.p99_ms:.1f}")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
