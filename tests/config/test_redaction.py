"""Secrets never reach a message."""

import json
from pathlib import Path

import pytest
from sample_files import LEAST, loaded

from retraind.redaction import passwords_in, redact, redact_data


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://u:p4ss@h:5432/d is down", "postgresql+psycopg://u:***@h:5432/d is down"),
        ("redis://:p4ss@h:6379/0", "redis://:***@h:6379/0"),
        ("'https://u:a@b@h/x'", "'https://u:***@h/x'"),
        ("redis://:a@h1,redis://:b@h2/0", "redis://:***@h1,redis://:***@h2/0"),
        ("http://h:8080/x@y", "http://h:8080/x@y"),
        ("http://h/?api_key=k1&token=t1&page=2", "http://h/?api_key=***&token=***&page=2"),
        ("host=h password=p4ss user=u", "host=h password=*** user=u"),
        ("PGPASSWORD=p4ss psql", "PGPASSWORD=*** psql"),
        ("write USER:PASSWORD@HOST as postgresql://USER:PASSWORD@HOST/D", None),
        ("sqlite:////srv/state/ledger.db at 12:30", None),
        ("nothing to hide", None),
    ],
)
def test_what_looks_like_a_password_goes_whoever_wrote_it(text: str, shown: str | None) -> None:
    assert redact(text) == (text if shown is None else shown)


def test_the_passwords_of_the_settings_go_also_outside_their_url(tmp_path: Path) -> None:
    text = LEAST + (
        "ledger: 'postgresql://u:p%40ss-word@h/d'\nbroker: 'redis://:brokerpass@h/0'\n"
        "mlflow: {url: 'https://u:trackpass@h'}\nalerts: [{url: 'slack://T0/K1/S2', on: [failed]}]\n"
    )
    settings = loaded(tmp_path, text)
    told = "p%40ss-word p@ss-word brokerpass trackpass slack://T0/K1/S2"
    assert redact(told, settings) == "*** *** *** *** slack://***"


def test_a_query_s_own_database_is_among_them(tmp_path: Path) -> None:
    text = LEAST.replace(
        "trainer:", "data: {source: {sql: SELECT 1, url: 'postgresql://u:querypass@h/d'}}\n      trainer:"
    )
    assert redact("querypass", loaded(tmp_path, text)) == "***"


def test_values_from_the_environment_go_in_every_form(tmp_path: Path) -> None:
    text = LEAST.replace("{sklearn:", "{params: {key: '${API_KEY}'}, sklearn:")
    settings = loaded(tmp_path, text, API_KEY="a b/c\\d'e")
    for form in ("a b/c\\d'e", "a%20b%2Fc%5Cd%27e", repr("a b/c\\d'e")[1:-1]):
        assert redact(f"<{form}>", settings) == "<***>"


def test_a_secret_from_a_file_goes_whatever_setting_it_is_for(tmp_path: Path) -> None:
    (tmp_path / "table").write_text("hidden_table\n")
    settings = loaded(tmp_path, LEAST.replace("monitoring.db}", "m.db, table: '${T}'}"), T_FILE="table")
    assert settings.model("delays").predictions.table == "hidden_table"
    assert redact("hidden_table", settings) == "***"


def test_ordinary_values_from_the_environment_stay_readable(tmp_path: Path) -> None:
    text = (
        LEAST.replace("{url: sqlite:///monitoring.db}", "{url: 'sqlite:///${DATA}/m.db', table: '${T}'}")
        + "broker: 'redis://${HOST}:${PORT}/0'\nlease: {length: '${LEASE}'}\nledger: '${LEDGER}'\n"
    )
    settings = loaded(
        tmp_path, text, DATA="/data", T="predictions", HOST="broker", PORT="6379", LEASE="40s",
        LEDGER="postgresql://u:ledgerpass@h/ledger",
    )  # fmt: skip
    told = "/data/m.db predictions broker 6379 40s postgresql://u:ledgerpass@h/ledger ledgerpass"
    assert redact(told, settings) == "/data/m.db predictions broker 6379 40s postgresql://u:***@h/ledger ***"


def test_a_short_secret_hides_whole_words_only(tmp_path: Path) -> None:
    text = LEAST.replace("{sklearn:", "{params: {key: '${PASSWORD}'}, sklearn:")
    assert redact("a cat, 'a'", loaded(tmp_path, text, PASSWORD="a")) == "*** cat, '***'"


def test_data_is_redacted_at_every_depth_and_nothing_else_in_it_changes() -> None:
    data = {"url": "redis://:p@h", "list": [{"a": ("redis://:p@h", 1, None, True, 2.5)}], "redis://:p@h": "x"}
    assert redact_data(data) == {
        "url": "redis://:***@h",
        "list": [{"a": ["redis://:***@h", 1, None, True, 2.5]}],
        "redis://:***@h": "x",
    }


def test_settings_do_not_show_their_addresses(tmp_path: Path) -> None:
    text = LEAST + "ledger: 'postgresql://u:p4ssw0rd@h/d'\nalerts: [{url: 'slack://T0/K1/S2', on: [failed]}]\n"
    settings = loaded(tmp_path, text)
    assert "p4ssw0rd" not in repr(settings)
    assert "T0/K1" not in repr(settings)
    assert "p4ssw0rd" not in redact(json.dumps(settings.model_dump(mode="json")), settings)


def test_the_password_of_a_url_is_what_stands_between_the_first_colon_and_the_last_at() -> None:
    assert passwords_in("postgresql://u:a:b@c@h/d") == ("a:b@c",)
    assert passwords_in("redis://:p%40@h") == ("p%40", "p@")
    assert passwords_in("sqlite:////srv/x.db") == ()
    assert passwords_in("redis://h:6379/0") == ()


@pytest.mark.timeout(10)
@pytest.mark.parametrize("piece", ["a.", "a://", "a://b:", "_", "password", "x "])
def test_long_output_is_redacted_in_a_moment(piece: str) -> None:
    redact(piece * 200_000)
