"""Alerts from a real ledger to a real webhook server."""

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog
from servers import free_port
from templates import empty_ledger

from daemon.alerting import AlertSender, Delays
from daemon.receiver import Receiver
from retraind.alerts import Message, Tone, compose, digest, is_wanted, receiver_key, receiver_name
from retraind.clock import SystemClock
from retraind.config.settings import Alert
from retraind.errors import AlertUndelivered, ConfigurationError
from retraind.events import EVENTS, KNOWN_ALERT_NAMES
from retraind.ledger import Ledger, receivers, trail

QUICK = Delays(look=0.02, first=0.02, longest=0.02)


class Webhook:
    """A server that keeps what it takes, in order, and refuses or hangs where it is told to."""

    def __init__(self, port: int = 0) -> None:
        self.taken: list[dict[str, str]] = []
        self.asked = 0
        self.refusing = False
        self.hanging = threading.Event()
        self.hanging.set()
        self.condition = threading.Condition()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                webhook.hanging.wait(20)
                with webhook.condition:
                    webhook.asked += 1
                    if not webhook.refusing:
                        webhook.taken.append(body)
                    webhook.condition.notify_all()
                self.send_response(500 if webhook.refusing else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"json://127.0.0.1:{self.server.server_address[1]}/hook/s3cret-token"

    def close(self) -> None:
        self.hanging.set()
        self.server.shutdown()
        self.server.server_close()

    def comes(self, condition: Callable[[], bool]) -> bool:
        with self.condition:
            return self.condition.wait_for(condition, timeout=15)

    def titles(self, count: int) -> list[str]:
        """The titles taken, once there are so many."""
        assert self.comes(lambda: len(self.taken) >= count), self.taken
        return [body["title"] for body in self.taken]


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    server = Webhook()
    yield server
    server.close()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(empty_ledger(tmp_path / "ledger.db"))
    yield ledger
    ledger.close()


Send = Callable[..., AlertSender]


@pytest.fixture
def sending(ledger: Ledger) -> Iterator[Send]:
    """Starts a sender to (url, names...) pairs; at the end all are stopped and have left no thread."""
    started: list[AlertSender] = []

    def begin(*alerts: tuple[str, ...], delays: Delays = QUICK, **options: Any) -> AlertSender:
        configured = [Alert.model_construct(url=url, on=tuple(on)) for url, *on in alerts]
        sender = AlertSender(ledger, configured, SystemClock(), delays=delays, **options)
        sender.start()
        started.append(sender)
        return sender

    yield begin
    for sender in started:
        sender.stop()
    assert [thread for thread in threading.enumerate() if thread.name.startswith("alerts ")] == []


def record(ledger: Ledger, *happened: tuple[str, Mapping[str, Any]], job: str | None = None) -> None:
    for event, data in happened:
        with ledger.write("test") as transaction:
            transaction.event(event, model="delays", job=job, data=data)


def paused(reason: str) -> tuple[str, Mapping[str, Any]]:
    return "model.paused", {"reason": reason}


RESUMED: tuple[str, Mapping[str, Any]] = ("model.resumed", {})


def cursor(ledger: Ledger, url: str) -> int | None:
    with ledger.read() as connection:
        return receivers.position(connection, receiver_key(url))


def newest(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return trail.head(connection)


def wait_for(condition: Callable[[], bool]) -> bool:
    """Looks again and again, for conditions that no server is asked about."""
    gate = threading.Event()
    for _ in range(1500):
        if condition():
            return True
        gate.wait(0.01)
    return False


def nothing_more_to_come(ledger: Ledger, webhook: Webhook) -> bool:
    return wait_for(lambda: cursor(ledger, webhook.url) == newest(ledger))


# --- sending


def test_each_receiver_gets_the_events_it_asked_for_and_no_others(ledger: Ledger, sending: Send) -> None:
    first, second = Webhook(), Webhook()
    try:
        sender = sending((first.url, "model.paused"), (second.url, "model.resumed", "failed"))
        record(
            ledger, paused("a"), RESUMED, ("job.closed", {"outcome": "failed"}), ("job.closed", {"outcome": "skipped"})
        )
        record(ledger, paused("b"))
        sender.notify()
        assert first.titles(2) == ["delays: test paused the model: a", "delays: test paused the model: b"]
        assert second.titles(2) == ["delays: test resumed the model", "delays: the retraining failed"]
        assert nothing_more_to_come(ledger, first)
        assert nothing_more_to_come(ledger, second)
        assert (len(first.taken), len(second.taken)) == (2, 2)
    finally:
        first.close()
        second.close()


def test_events_that_other_processes_wrote_are_found_without_being_told(
    ledger: Ledger, webhook: Webhook, sending: Send
) -> None:
    sending((webhook.url, "model.paused"))
    record(ledger, paused("x"))
    assert webhook.titles(1) == ["delays: test paused the model: x"]


def test_what_happened_before_a_receiver_was_configured_is_old_news(
    ledger: Ledger, webhook: Webhook, sending: Send
) -> None:
    record(ledger, paused("old"))
    sending((webhook.url, "model.paused"))
    record(ledger, paused("new"))
    assert webhook.titles(1) == ["delays: test paused the model: new"]


def test_a_restart_sends_what_happened_meanwhile_and_nothing_twice(
    ledger: Ledger, webhook: Webhook, sending: Send
) -> None:
    first = sending((webhook.url, "model.paused"))
    record(ledger, paused("1"))
    webhook.titles(1)
    assert nothing_more_to_come(ledger, webhook)
    first.stop()
    record(ledger, paused("2"))
    second = sending((webhook.url, "model.paused"))
    assert webhook.titles(2) == ["delays: test paused the model: 1", "delays: test paused the model: 2"]
    assert nothing_more_to_come(ledger, webhook)
    second.stop()
    sending((webhook.url, "model.paused"))
    record(ledger, paused("3"))
    assert webhook.titles(3)[2:] == ["delays: test paused the model: 3"]


def test_several_that_waited_are_sent_in_order(ledger: Ledger, webhook: Webhook, sending: Send) -> None:
    sending((webhook.url, "model.paused")).stop()
    record(ledger, *[paused(str(number)) for number in range(5)])
    sending((webhook.url, "model.paused"))
    assert [title[-1] for title in webhook.titles(5)] == ["0", "1", "2", "3", "4"]


def test_many_that_waited_become_one_message(ledger: Ledger, webhook: Webhook, sending: Send) -> None:
    sending((webhook.url, "model.paused")).stop()
    record(ledger, *[paused(str(number)) for number in range(6)], RESUMED)
    sending((webhook.url, "model.paused"))
    assert webhook.titles(1) == ["retraind: 6 events of delays"]
    lines = webhook.taken[0]["message"].splitlines()
    assert [line[-2:] for line in lines] == ["0.", "1.", "2.", "3.", "4.", "5."]
    assert nothing_more_to_come(ledger, webhook)
    record(ledger, paused("later"))
    assert webhook.titles(2)[1] == "delays: test paused the model: later"


def test_a_receiver_that_refuses_is_tried_again_until_it_takes_the_message_once(
    ledger: Ledger, webhook: Webhook, sending: Send
) -> None:
    webhook.refusing = True
    sending((webhook.url, "model.paused"))
    before = newest(ledger)
    record(ledger, paused("1"))
    assert webhook.comes(lambda: webhook.asked >= 3)
    assert cursor(ledger, webhook.url) == before
    with ledger.read() as connection:
        (row,) = receivers.failing(connection)
    assert row.failures >= 2
    assert "error=500" in row.error
    record(ledger, paused("2"))
    webhook.refusing = False
    assert [title[-1] for title in webhook.titles(2)] == ["1", "2"]
    assert nothing_more_to_come(ledger, webhook)
    with ledger.read() as connection:
        assert receivers.failing(connection) == []
    assert len(webhook.taken) == 2


def test_a_receiver_that_is_down_and_comes_back_is_told_what_it_missed(ledger: Ledger, sending: Send) -> None:
    port = free_port()
    url = f"json://127.0.0.1:{port}/hook/s3cret-token"
    sending((url, "model.paused"))
    record(ledger, paused("1"))

    def failing() -> bool:
        with ledger.read() as connection:
            return bool(receivers.failing(connection))

    assert wait_for(failing)
    webhook = Webhook(port)
    try:
        assert webhook.titles(1) == ["delays: test paused the model: 1"]
    finally:
        webhook.close()


def test_a_dead_and_a_hanging_receiver_delay_nothing(ledger: Ledger, webhook: Webhook, sending: Send) -> None:
    hanging = Webhook()
    hanging.hanging.clear()
    try:
        dead = f"json://127.0.0.1:{free_port()}/x"
        sending((dead, "model.paused"), (hanging.url + "?rto=20", "model.paused"), (webhook.url, "model.paused"))
        for number in range(3):
            record(ledger, paused(str(number)))
            assert [title[-1] for title in webhook.titles(number + 1)][-1] == str(number)
        assert hanging.taken == []
    finally:
        hanging.close()


def test_a_receiver_that_hangs_is_given_up_in_time(webhook: Webhook) -> None:
    webhook.hanging.clear()
    receiver = Receiver(webhook.url + "?rto=0.2")
    with pytest.raises(AlertUndelivered):
        receiver.send(Message("t", "b", Tone.INFO))


class Recording(threading.Event):
    """A stop event that remembers how long it was waited for, and lets nobody wait."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.most = most

    def wait(self, timeout: float | None = None) -> bool:
        if not self.is_set():
            self.waits.append(timeout or 0.0)
            if len(self.waits) == self.most:
                self.set()
        return self.is_set()


def test_the_wait_after_a_failure_doubles_up_to_five_minutes(ledger: Ledger, sending: Send) -> None:
    stopping = Recording(12)
    sending((f"json://127.0.0.1:{free_port()}/x", "model.paused"), delays=Delays(look=0.02), stopping=stopping)
    record(ledger, paused("1"))
    assert wait_for(stopping.is_set)
    assert stopping.waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_a_url_that_means_nothing_stops_no_other_and_is_told(ledger: Ledger, webhook: Webhook, sending: Send) -> None:
    sending(("nonsense://s3cret-token", "model.paused"), (webhook.url, "model.paused"))
    record(ledger, paused("1"))
    assert webhook.titles(1)

    def told() -> list[str]:
        with ledger.read() as connection:
            return [row.error for row in receivers.failing(connection)]

    assert wait_for(lambda: bool(told()))
    assert "is not one that Apprise understands" in told()[0]
    assert "s3cret" not in told()[0]


def test_a_receiver_named_twice_gets_each_event_once(ledger: Ledger, webhook: Webhook, sending: Send) -> None:
    sending((webhook.url, "model.paused"), (webhook.url, "model.paused", "model.resumed"))
    record(ledger, paused("1"), RESUMED)
    webhook.titles(2)
    assert nothing_more_to_come(ledger, webhook)
    assert len(webhook.taken) == 2


def test_a_receiver_taken_out_and_put_back_is_new(ledger: Ledger, webhook: Webhook, sending: Send) -> None:
    sending((webhook.url, "model.paused")).stop()
    sending().stop()
    assert cursor(ledger, webhook.url) is None
    record(ledger, paused("meanwhile"))
    sending((webhook.url, "model.paused"))
    record(ledger, paused("now"))
    assert webhook.titles(1) == ["delays: test paused the model: now"]


def test_two_senders_at_once_do_not_lose_an_event(ledger: Ledger, webhook: Webhook, sending: Send) -> None:
    sending((webhook.url, "model.paused"))
    sending((webhook.url, "model.paused"))
    for number in range(5):
        record(ledger, paused(str(number)))
    assert nothing_more_to_come(ledger, webhook)
    assert {body["title"][-1] for body in webhook.taken} == {"0", "1", "2", "3", "4"}


def test_no_part_of_a_url_is_ever_said(
    ledger: Ledger,
    webhook: Webhook,
    sending: Send,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    webhook.refusing = True
    with structlog.testing.capture_logs() as logs, caplog.at_level(logging.INFO):
        sending((webhook.url.replace("127.0.0.1", "me:hunter2@127.0.0.1"), "model.paused"))
        record(ledger, paused("1"))
        assert webhook.comes(lambda: webhook.asked >= 2)
    with ledger.read() as connection:
        kept = [tuple(row) for row in receivers.failing(connection)]
    said = f"{logs} {kept} {caplog.text}"
    assert "receiver_failing" in said
    assert "s3cret" not in said
    assert "hunter2" not in said


def test_a_failing_receiver_is_logged_once_and_once_when_it_recovers(
    ledger: Ledger, webhook: Webhook, sending: Send
) -> None:
    webhook.refusing = True
    with structlog.testing.capture_logs() as logs:
        sending((webhook.url, "model.paused"))
        record(ledger, paused("1"))
        assert webhook.comes(lambda: webhook.asked >= 4)
        webhook.refusing = False
        webhook.titles(1)
        assert wait_for(lambda: any(line["event"] == "receiver_recovered" for line in logs))
    told = [line["event"] for line in logs if line["event"].startswith("receiver_")]
    assert told == ["receiver_failing", "receiver_recovered"]


# --- what is said


def event_of(name: str, data: Mapping[str, Any], job: str | None = "261121-0100-abc", seq: int = 1) -> dict[str, Any]:
    return {
        "seq": seq,
        "time": datetime(2026, 11, 21, 1, 2, 3, tzinfo=UTC),
        "event": name,
        "model": "delays",
        "job": job,
        "actor": "daemon",
        "data": data,
    }


def test_an_approval_is_asked_for_with_figures_gates_reason_and_the_next_step() -> None:
    history = [
        event_of("job.requested", {"reason": "drift fired: dep_delay drifted, KS D 0.31."}),
        event_of("gate.passed", {"gate": "accuracy at least 0.85", "challenger": 0.912, "champion": 0.877}),
    ]
    data = {"version": "4", "metrics": {"accuracy": 0.912}, "expires": "2026-11-22T01:02:03.000000Z"}
    message = compose(event_of("job.awaiting_approval", data), history)
    assert message == Message(
        title="delays: version 4 waits for your approval",
        body="Version 4 passed its gates and waits for approval until 2026-11-22 01:02:03 UTC.\n"
        "Figures: accuracy 0.912.\n"
        "Gate passed: accuracy at least 0.85: challenger 0.912, champion 0.877.\n"
        "It was started because: drift fired: dep_delay drifted, KS D 0.31.\n"
        "Job 261121-0100-abc, 2026-11-21 01:02:03 UTC.\n"
        "`retraind approve 261121-0100-abc` deploys it, `retraind reject 261121-0100-abc` refuses it.",
        tone=Tone.WARNING,
    )


def test_a_failure_tells_why_and_what_to_do_without_secrets() -> None:
    data = {"outcome": "failed", "error": "cannot reach postgresql://u:hunter2@h/d", "reason": "asked by hand"}
    message = compose(event_of("job.closed", data))
    assert message.title == "delays: the retraining failed"
    assert "postgresql://u:***@h/d" in message.body
    assert "hunter2" not in message.body
    assert "It was started because: asked by hand." in message.body
    assert "`retraind trigger delays` tries again once it is mended." in message.body
    assert message.tone is Tone.FAILURE


@pytest.mark.parametrize("name", sorted(EVENTS))
@pytest.mark.parametrize("data", [{}, None, {"outcome": "deployed", "unknown": [1]}])
def test_every_event_has_a_message_whatever_its_data(name: str, data: Mapping[str, Any] | None) -> None:
    for job in ("1", None):
        message = compose(event_of(name, data, job))  # type: ignore[arg-type]
        assert message.title.startswith("delays: ")
        assert "\n" not in message.title
        assert "None" not in message.body.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "data", "wanted_as"),
    [
        ("job.closed", {"outcome": "deployed"}, {"job.closed", "deployed"}),
        ("job.closed", {"outcome": "gate_failed"}, {"job.closed", "gate_failed"}),
        ("job.awaiting_approval", {}, {"job.awaiting_approval", "awaiting_approval"}),
        ("stage.failed", {"kind": "data", "retry_at": None}, {"stage.failed", "failed.data"}),
        ("stage.failed", {"kind": "transient", "retry_at": "2026-01-01T00:00:00Z"}, {"stage.failed"}),
        ("trigger.fired", {}, {"trigger.fired"}),
    ],
)
def test_an_event_is_wanted_under_its_names_only(name: str, data: Mapping[str, Any], wanted_as: set[str]) -> None:
    assert {known for known in KNOWN_ALERT_NAMES if is_wanted(event_of(name, data), [known])} == wanted_as


def test_a_digest_tells_the_newest_and_how_many_are_left_out() -> None:
    message = digest([event_of("model.paused", {"reason": str(number)}, None, number) for number in range(100)])
    lines = message.body.splitlines()
    assert lines[0] == "70 earlier ones are left out; `retraind audit tail` has them all."
    assert len(lines) == 31
    assert lines[-1] == "2026-11-21 01:02:03 UTC delays: daemon paused the model: 99."
    worst = [event_of("job.closed", {"outcome": outcome}) for outcome in ("deployed", "failed", "skipped")]
    assert digest(worst).tone is Tone.FAILURE


def test_a_receiver_is_named_by_its_scheme_alone() -> None:
    assert receiver_name("slack://T1/B2/token").startswith("slack://*** (")
    assert "token" not in receiver_name("slack://T1/B2/token")


@pytest.mark.parametrize("url", ["nonsense://x", "json://", "json://127.0.0.1/a, json://127.0.0.1/b"])
def test_a_url_that_is_not_one_receiver_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not one that Apprise understands"):
        Receiver(url).open()
