"""Each wrong setting is refused with its line, its key, what was expected and what to write instead."""

from pathlib import Path

import pytest
from sample_files import LEAST, refused

# --- one wrong thing at a time: PLACE in the least file, what to write there, and what is said about it

TRAINER = (
    "a trainer is one of {sklearn: IMPORT.PATH}, {function: module:function}, "
    "{command: [PROGRAM, ARGUMENT]} and {plugin: NAME}"
)
SOURCE = "a source is one of predictions, {csv: PATH}, {parquet: PATH} and {sql: SELECT ...}"
TARGET = "a target is one of {mlflow: NAME}, {directory: PATH}, {command: [PROGRAM, ARGUMENT]} and {plugin: NAME}"
DATABASE = "write sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
UNREADABLE = (
    "the host and port in this URL cannot be read; write SCHEME://USER:PASSWORD@HOST:PORT/NAME, "
    "with / : @ and % of a password written %2F %3A %40 and %25"
)

PREDICTIONS = [
    ("{}", "url", "this key is missing; add it (sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE)"),
    ("sqlite:///x.db", "", "'sqlite:///x.db' stands where a section belongs; write KEY: VALUE lines below it, "
     "with keys out of url, table, columns, only, timestamps, label_delay, timeout"),
    ("{url: monitoring.db}", "url", f"'monitoring.db' is not a database that retraind opens; {DATABASE}"),
    ("{url: 'sqlite:///'}", "url", "'sqlite:///' names no file that several processes could share; write sqlite:///PATH"),
    ("{url: 'sqlite:///:memory:'}", "url",
     "'sqlite:///:memory:' names no file that several processes could share; write sqlite:///PATH"),
    ("{url: 'postgresql://u:p/w@h:5432/d'}", "url", UNREADABLE),
    ("{url: 'postgres://h/d'}", "url", f"'postgres://' is not a database that retraind opens; {DATABASE}"),
    ("{url: 5}", "url", '5 is not read as text; put it in quotes, as "5"'),
    ("{url: null}", "url", "nothing stands where a text belongs; write one, or leave the key out"),
    ("{url: [a]}", "url", "a list stands where a text belongs; write one"),
    ("{url: 'sqlite:///x', timeout: 30}", "timeout",
     "30 is not a duration; write a number with a unit, as 30s, 15m, 6h, 7d or 4w"),
    ("{url: 'sqlite:///x', timestamps: epoch}", "timestamps",
     "'epoch' is not known here; write one of auto, iso, seconds, milliseconds, native"),
    ("{url: 'sqlite:///x', timestamps: milisecond}", "timestamps",
     "'milisecond' is not known here (did you mean 'milliseconds'?); "
     "write one of auto, iso, seconds, milliseconds, native"),
    ("{url: 'sqlite:///x', columns: {features: age}}", "columns.features",
     "'age' is not a list; write [A, B], or one entry a line, each after a dash"),
    ("{url: 'sqlite:///x', columns: {features: [a, b, a]}}", "columns.features[2]",
     "the feature 'a' is listed twice; remove one"),
    ("{url: 'sqlite:///x', columns: {features: {names: [a]}}}", "columns.features.json",
     "this key is missing; add it (The JSON column)"),
    ("{url: 'sqlite:///x', columns: {timestamp: ''}}", "columns.timestamp",
     "the text is empty; write one, or leave the key out"),
    ("{url: 'sqlite:///x', only: {model: 1.5}}", "only.model",
     "rows are picked by a text, a whole number, true or false; write COLUMN: VALUE"),
    ("{url: 'sqlite:///x', only: [model]}", "only",
     "a list stands where a section belongs; write KEY: VALUE lines below it"),
]  # fmt: skip

TRAINING = [
    ("{}", "trainer", "this key is missing; add it ({sklearn: IMPORT.PATH}, {function: module:function}, "
     "{command: [PROGRAM, ...]} or {plugin: NAME})"),
    ("{trainer: {sklern: a.b}}", "trainer", f"the key 'sklern' is unknown (did you mean 'sklearn'?); {TRAINER}"),
    ("{trainer: {sklearn: a.b, function: c:d}}", "trainer",
     f"sklearn and function exclude each other; keep one: {TRAINER}"),
    ("{trainer: {}}", "trainer", f"no key says which kind this is; {TRAINER}"),
    ("{trainer: sklearn}", "trainer", f"'sklearn' is not known here; {TRAINER}"),
    ("{trainer: {sklearn: a.b, parms: {}}}", "trainer.parms",
     "unknown key (did you mean 'params'?); the keys known here are sklearn, params, trusted_types, python"),
    ("{trainer: {function: train}}", "trainer.function",
     "'train' names no function; write module:function or path/to/file.py:function"),
    ("{trainer: {function: 'my code:train'}}", "trainer.function",
     "'my code' is neither a module nor a file that ends in .py; write module:function or file.py:function"),
    ("{trainer: {command: python train.py}}", "trainer.command",
     "'python train.py' is not a list; write [A, B], or one entry a line, each after a dash"),
    ("{trainer: {command: []}}", "trainer.command", "too few entries; write at least 1, or leave the key out"),
    ("{trainer: {plugin: p}, data: {source: predictons}}", "data.source",
     f"'predictons' is not known here (did you mean 'predictions'?); {SOURCE}"),
    ("{trainer: {plugin: p}, data: {source: {cvs: x}}}", "data.source",
     f"the key 'cvs' is unknown (did you mean 'csv'?); {SOURCE}"),
    ("{trainer: {plugin: p}, data: {source: {csv: x, sql: y}}}", "data.source",
     f"csv and sql exclude each other; keep one: {SOURCE}"),
    ("{trainer: {plugin: p}, data: {source: {csv: x, parquet: y}}}", "data.source",
     "write exactly one of csv: PATH and parquet: PATH"),
    ("{trainer: {plugin: p}, data: {source: {csv: ''}}}", "data.source.csv",
     "the path is empty; write one, as data/latest.csv"),
    ("{trainer: {plugin: p}, data: {window: {rolling: 30}}}", "data.window.rolling",
     "30 is not a duration; write a number with a unit, as 30s, 15m, 6h, 7d or 4w"),
    ("{trainer: {plugin: p}, data: {window: {half_life: 3d}}}", "data.window",
     "write rolling: DURATION or expanding: true, one of the two (half_life may stand beside either)"),
    ("{trainer: {plugin: p}, data: {features: [age]}}", "data.features[0]",
     "the predictions store has no feature 'age'; list it in predictions.columns.features"),
    ("{trainer: {plugin: p}, checks: {min_rows: many}}", "checks.min_rows",
     "'many' is not a whole number; write digits only, as 5000"),
    ("{trainer: {plugin: p}, checks: {min_rows: 0.5}}", "checks.min_rows",
     "0.5 is not a whole number; write digits only, as 5000"),
    ("{trainer: {plugin: p}, checks: {min_rows: 0}}", "checks.min_rows", "0 is too small; write 1 or more"),
    ("{trainer: {plugin: p}, checks: {max_null_share: 95}}", "checks.max_null_share",
     "95 is too large; write 1 or less"),
    ("{trainer: {plugin: p}, checks: {max_null_share: .nan}}", "checks.max_null_share",
     "nan is not a number; write one, as 0.85"),
    ("{trainer: {plugin: p}, checks: {target_rate: [0.5]}}", "checks.target_rate",
     "an entry is missing; write as many as the setting takes"),
    ("{trainer: {plugin: p}, checks: {target_rate: [0, 0.5, 1]}}", "checks.target_rate",
     "too many entries; write at most 2"),
    ("{trainer: {plugin: p}, checks: {target_rate: [0.6, 0.1]}}", "checks.target_rate",
     "0.6 is above 0.1; write the lowest first, as [0.01, 0.6]"),
    ("{trainer: {plugin: p}, checks: {types: {age: numeric}}}", "checks.types.age",
     "'numeric' is not known here (did you mean 'number'?); write one of number, category, boolean, time"),
    ("{trainer: {plugin: p}, task: classify}", "task",
     "'classify' is not known here (did you mean 'classification'?); write one of classification, regression"),
    ("{trainer: {plugin: p}, holdout: {share: 1}}", "holdout.share", "1 is too large; write less than 1"),
    ("{trainer: {plugin: p}, holdout: {share: 0}}", "holdout.share", "0 is too small; write more than 0"),
    ("{trainer: {plugin: p}, holdout: {share: 0.1, file: x.csv}}", "holdout", "write share or file, one of the two"),
    ("{trainer: {plugin: p}, budget: {memory: 8}}", "budget.memory",
     "8 is not a size; write a number above zero with a unit, as 512MiB or 16GiB"),
    ("{trainer: {plugin: p}, budget: {time: 0s}}", "budget.time",
     "'0s' is no time at all; write a duration above zero, as 30s or 7d"),
    ("{trainer: {plugin: p}, gates: {metric: accuracy}}", "gates",
     "a section is not a list; write [A, B], or one entry a line, each after a dash"),
    ("{trainer: {plugin: p}, gates: [{metric: acuracy, at_least: 0.5}]}", "gates[0].metric",
     "'acuracy' is not a metric (did you mean 'accuracy'?); choose one of accuracy, brier, f1, log_loss, mae, mape, "
     "precision, r2, recall, rmse, roc_auc"),
    ("{trainer: {plugin: p}, gates: [{metric: f1}]}", "gates[0]",
     "write exactly one of at_least, at_most, not_worse_than and better_than"),
    ("{trainer: {plugin: p}, gates: [{metric: f1, at_least: 0.5, at_most: 1}]}", "gates[0]",
     "write exactly one of at_least, at_most, not_worse_than and better_than"),
    ("{trainer: {plugin: p}, gates: [{metric: f1, better_than: champoin}]}", "gates[0].better_than",
     "'champoin' is not known here (did you mean 'champion'?); write champion, or leave the key out"),
    ("{trainer: {plugin: p}, gates: [{metric: f1, at_least: 0.5, by: 0.1}]}", "gates[0]",
     "by is a margin to the champion; remove it beside at_least and at_most"),
    ("{trainer: {plugin: p}, task: regression, gates: [{metric: f1, at_least: 0.5}]}", "gates[0].metric",
     "f1 is a metric of classification, and task is regression; write one of mae, mape, r2, rmse"),
    ("{trainer: {plugin: p}, gates: [{metric: f1, at_least: 0.5}, {metric: mae, at_most: 3}]}", "gates[1].metric",
     "mae is a metric of regression, and the first gate, by f1, means classification; "
     "write one of accuracy, brier, f1, log_loss, precision, recall, roc_auc"),
    ("{trainer: {plugin: p}, queue: 'the gpu'}", "queue",
     "'the gpu' is no name; use letters, digits, _ . and - only"),
]  # fmt: skip

MODEL = [
    ("trigers: {}", "trigers", "unknown key (did you mean 'triggers'?); "
     "the keys known here are predictions, triggers, policy, training, deploy"),
    ("triggers: [weekly]", "triggers", "a list stands where a section belongs; write KEY: VALUE lines below it"),
    ("triggers: {weekly: cron}", "triggers.weekly",
     "'cron' is not a trigger; write a mapping, as {type: interval, every: 7d}"),
    ("triggers: {weekly: {schedule: x}}", "triggers.weekly", "a trigger needs a type; "
     "choose one of cron, interval, volume, performance, estimated_performance, worth, drift, file, all, any"),
    ("triggers: {weekly: {type: dritf}}", "triggers.weekly.type",
     "'dritf' is not a type of trigger; did you mean 'drift'? "
     "Otherwise choose one of cron, interval, volume, performance, estimated_performance, worth, drift, file, "
     "all, any"),
    ("triggers: {'a/b': {type: interval, every: 7d}}", "triggers.a/b", "'a/b' is no name; "
     "use letters, digits, _ . and - (at most 100, neither . nor - first), as delays-2024"),
    ("triggers: {stale: {type: interval}}", "triggers.stale.every", "this key is missing; add it "
     "(The longest time between the end of one training and the start of the next)"),
    ("triggers: {stale: {type: interval, evry: 7d, every: 1d}}", "triggers.stale.evry",
     "unknown key (did you mean 'every'?); the keys known here are type, action, look_every, confirmations, every"),
    ("triggers: {stale: {type: interval, every: 7 days}}", "triggers.stale.every",
     "'7 days' is not a duration; write a number with a unit, as 30s, 15m, 6h, 7d or 4w"),
    ("triggers: {stale: {type: interval, every: 7d, action: retrian}}", "triggers.stale.action",
     "'retrian' is not known here (did you mean 'retrain'?); write one of retrain, propose, notify, none"),
    ("triggers: {decay: {type: performance, metric: f1, below: 0.5, last: 500, positive: [a]}}",
     "triggers.decay.positive", "a list stands where a text belongs; write one"),
    ("triggers: {decay: {type: performance, metric: roc_auc, below: 0.5, window: 7d}}", "triggers.decay.metric",
     "roc_auc needs the positive class's probability; name its column in predictions.columns.score"),
    ("triggers: {ahead: {type: estimated_performance, metric: accuracy, below: 0.5}}", "triggers.ahead.metric",
     "accuracy needs the positive class's probability; name its column in predictions.columns.score"),
    ("triggers: {ahead: {type: estimated_performance, metric: mae, above: 5, features: [agee]}}",
     "triggers.ahead.features[0]",
     "the predictions store has no feature 'agee' (did you mean 'age'?); write some of age, fare"),
    ("triggers: {both: {type: all, of: [stale, wekly]}, stale: {type: interval, every: 1d}, "
     "weekly: {type: cron, schedule: '@weekly'}}", "triggers.both.of[1]",
     "the model has no trigger 'wekly' (did you mean 'weekly'?); write some of stale, weekly"),
    ("triggers: {both: {type: all, of: [stale]}}", "triggers.both.of[0]",
     "the model has no trigger 'stale'; there is no other to combine"),
    ("triggers: {both: {type: all, of: [both]}}", "triggers.both.of[0]",
     "the triggers wait for each other in a circle (both -> both); take one out"),
    ("triggers: {drift: {type: drift, features: [agee]}}", "triggers.drift.features[0]",
     "the predictions store has no feature 'agee' (did you mean 'age'?); write some of age, fare"),
    ("triggers: {drift: {type: drift, reference: trainig}}", "triggers.drift.reference",
     "'trainig' is no reference; write training, {window: 28d} or {file: PATH}"),
    ("triggers: {drift: {type: drift, reference: {widow: 28d, file: x.csv}}}", "triggers.drift.reference.widow",
     "unknown key (did you mean 'window'?); the keys known here are window, before, file"),
    ("triggers: {drift: {type: drift, reference: {window: 28d, before: then}}}", "triggers.drift.reference.before",
     "'then' is not a point in time; write one, as 2024-01-31T12:00:00Z"),
    ("triggers: {drift: {type: drift, current: x.csv}}", "triggers.drift.current",
     "'x.csv' stands where a section belongs; write KEY: VALUE lines below it, with keys out of file"),
    ("policy: {aproval: manual}", "policy.aproval", "unknown key (did you mean 'approval'?); the keys known here are "
     "cooldown, confirmations, rearm, when_busy, quiet_hours, daily_cap, on_incident, breaker, approval, "
     "approval_expires, retries"),
    ("triggers: {worth: {type: worth, retrain: 40, point_of_acuracy_per_day: 25}}", "triggers.worth",
     "'point_of_acuracy_per_day' names no metric; did you mean point_of_accuracy_per_day?"),
    ("triggers: {worth: {type: worth, retrain: 40, point_of_mae_per_day: 25, restores: -1}}", "triggers.worth",
     "restores: -1 is out of reach, since mae lies between 0 and inf"),
    ("triggers: {worth: {type: worth, retrain: 0, point_of_mae_per_day: 25}}", "triggers.worth.retrain",
     "0 is too small; write more than 0"),
    ("triggers: {worth: {type: worth, retrain: 5, point_of_log_loss_per_day: 25}}", "triggers.worth.metric",
     "log_loss needs the positive class's probability; name its column in predictions.columns.score"),
    ("triggers: {stale: {type: interval, every: 7d, confirmations: twice}}", "triggers.stale.confirmations",
     "'twice' is not a number of confirmations; write K of N, as 2 of 3"),
    ("triggers: {new: {type: file, path: 'data/*.csv', confirmations: 2 of 3}}", "triggers.new",
     "confirmations have no use in a file trigger: a set of files comes once; leave them out"),
    ("policy: {confirmations: 3 of 2}", "policy.confirmations",
     "'3 of 2' is not a number of confirmations; write K of N, as 2 of 3"),
    ("policy: {quiet_hours: {from: 22, to: 6:00}}", "policy.quiet_hours.from",
     "22 is not a time of day; write hours and minutes, as 22:00"),
    ("policy: {quiet_hours: {from: 22:00, to: 22:00}}", "policy.quiet_hours",
     "from and to are the same time; write the span's begin and end, as from: 22:00 and to: 06:00"),
    ("policy: {quiet_hours: {from: 22:00, to: 06:00, timezone: Berlin}}", "policy.quiet_hours.timezone",
     "'Berlin' is not a time zone; write one as Europe/Berlin or UTC"),
    ("policy: {breaker: {hold: 4w}}", "policy.breaker",
     "longest (2w) is shorter than hold (4w); write a longest of at least hold"),
    ("deploy: []", "deploy", "too few entries; write at least 1, or leave the key out"),
    ("deploy: {mlflow: x}", "deploy", "a section is not a list; write [A, B], or one entry a line, each after a dash"),
    ("deploy: [{directroy: x}]", "deploy[0]", f"the key 'directroy' is unknown (did you mean 'directory'?); {TARGET}"),
    ("deploy: [{directory: x, keep: 1}]", "deploy[0].keep", "1 is too small; write 2 or more"),
    ("deploy: [{mlflow: x, alais: y}]", "deploy[0].alais",
     "unknown key (did you mean 'alias'?); the keys known here are mlflow, alias"),
]  # fmt: skip

WHOLE = [
    ("modles: {}", "modles", "unknown key (did you mean 'models'?); the keys known here are "
     "models, state, ledger, broker, mlflow, audit, lease, workers, monitor, retention, alerts"),
    ("broker: amqp://h", "broker",
     "'amqp://' is not a broker that retraind speaks to; write embedded, or redis://HOST:PORT/NUMBER"),
    ("broker: embeded", "broker",
     "'embeded' is not a broker that retraind speaks to; write embedded, or redis://HOST:PORT/NUMBER"),
    ("broker: redis://h:port/0", "broker", UNREADABLE),
    ("ledger: redis://h", "ledger", f"'redis://' is not a database that retraind opens; {DATABASE}"),
    ("mlflow: {url: ./mlruns}", "mlflow.url",
     "'./mlruns' is not a tracking store MLflow keeps; write http://HOST:PORT or sqlite:///PATH"),
    ("audit: {rotate: 64}", "audit.rotate",
     "64 is not a size; write a number above zero with a unit, as 512MiB or 16GiB"),
    ("audit: {required: maybe}", "audit.required", "'maybe' is neither true nor false; write one of the two"),
    ("state: 5", "state", "5 is not a path; write one, as data/latest.csv"),
    ("lease: {length: 9s}", "lease", "length (9s) must be at least twice heartbeat (5s), "
     "or a single late heartbeat loses the lease"),
    ("workers: {concurrency: -1}", "workers.concurrency", "-1 is too small; write 1 or more"),
    ("monitor: {files: polling}", "monitor.files",
     "'polling' is not known here (did you mean 'poll'?); write one of auto, inotify, poll"),
    ("retention: {data: 0}", "retention.data", "0 is too small; write 1 or more"),
    ("retention: {jobs: never}", "retention.jobs",
     "'never' is not a duration; write a number with a unit, as 30s, 15m, 6h, 7d or 4w"),
    ("retention: {audit: 40000d}", "retention.audit",
     "40000d is longer than a century; write 36500d to keep everything"),
    ("retention: {events: 30d}", "retention", "events (30d) is shorter than jobs (365d), "
     "so that a job would be kept without its history; write an events of at least jobs"),
    ("retention: {audit: 4w}", "retention", "audit (4w) is shorter than events (365d), "
     "so that the log would end before the ledger; write an audit of at least events"),
    ("alerts: {url: x}", "alerts", "a section is not a list; write [A, B], or one entry a line, each after a dash"),
    ("alerts: [{url: 'json://h', on: [fialed]}]", "alerts[0].on[0]",
     "'fialed' is neither a job state nor an event; did you mean 'failed'?"),
    ("alerts: [{url: 'json://h', on: failed}]", "alerts[0].on",
     "'failed' is not a list; write [A, B], or one entry a line, each after a dash"),
    ("alerts: [{url: 'hooks.slack.com/x', on: [failed]}]", "alerts[0].url",
     "this is not an Apprise URL; write SCHEME://..., as json://host/path or mailto://..."),
    ("alerts: [{url: 'json://h'}]", "alerts[0].on", "this key is missing; add it "
     "(Job states or event names, as failed, awaiting_approval or model.deployed)"),
]  # fmt: skip


def below(prefix: str, place: str) -> str:
    return ".".join(part for part in (prefix, place) if part)


@pytest.mark.parametrize(("written", "place", "sentence"), PREDICTIONS)
def test_wrong_predictions_are_refused(tmp_path: Path, written: str, place: str, sentence: str) -> None:
    text = LEAST.replace("{url: sqlite:///monitoring.db}", written)
    assert refused(tmp_path, text) == [f"FILE:3: {below('models.delays.predictions', place)}: {sentence}"]


@pytest.mark.parametrize(("written", "place", "sentence"), TRAINING)
def test_wrong_training_is_refused(tmp_path: Path, written: str, place: str, sentence: str) -> None:
    text = LEAST.partition("    training:")[0] + f"    training: {written}\n"
    assert refused(tmp_path, text) == [f"FILE:4: {below('models.delays.training', place)}: {sentence}"]


@pytest.mark.parametrize(("written", "place", "sentence"), MODEL)
def test_wrong_triggers_policy_and_targets_are_refused(tmp_path: Path, written: str, place: str, sentence: str) -> None:
    text = LEAST.replace("monitoring.db}", "monitoring.db, columns: {features: [age, fare]}}") + f"    {written}\n"
    assert refused(tmp_path, text) == [f"FILE:6: models.delays.{place}: {sentence}"]


@pytest.mark.parametrize(("written", "place", "sentence"), WHOLE)
def test_wrong_settings_of_the_whole_are_refused(tmp_path: Path, written: str, place: str, sentence: str) -> None:
    assert refused(tmp_path, f"{LEAST}{written}\n") == [f"FILE:6: {place}: {sentence}"]


def test_no_models_at_all_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, "models: {}\n") == [
        "FILE:1: models: too few entries; write at least 1, or leave the key out"
    ]


def test_triggers_that_wait_for_each_other_are_told_with_their_circle(tmp_path: Path) -> None:
    text = LEAST + (
        "    triggers:\n      a: {type: all, of: [b]}\n      b: {type: any, of: [c, d]}\n"
        "      c: {type: all, of: [a]}\n      d: {type: interval, every: 1d}\n"
    )
    lines = refused(tmp_path, text)
    assert lines[0] == (
        "FILE:7: models.delays.triggers.a.of[0]: "
        "the triggers wait for each other in a circle (a -> b -> c -> a); take one out"
    )
    assert len(lines) == 3


def test_a_store_without_actuals_has_no_labels_to_judge_or_train_by(tmp_path: Path) -> None:
    text = """\
models:
  delays:
    predictions: {url: sqlite:///m.db, columns: {actual: null}}
    triggers:
      decay: {type: performance, metric: accuracy, below: 0.8, window: 7d}
      ahead: {type: estimated_performance, metric: mae, above: 3}
      volume: {type: volume, rows: 10, labelled: true}
      plain: {type: volume, rows: 10}
    training:
      trainer: {plugin: p}
"""
    mend = "name their column in predictions.columns.actual, or take the trigger out"
    assert refused(tmp_path, text) == [
        "FILE:5: models.delays.triggers.decay: "
        f"a performance trigger compares with actuals, and predictions.columns.actual is null; {mend}",
        "FILE:6: models.delays.triggers.ahead: "
        f"an estimated_performance trigger learns from actuals, and predictions.columns.actual is null; {mend}",
        "FILE:7: models.delays.triggers.volume.labelled: "
        f"labelled rows need actuals, and predictions.columns.actual is null; {mend}",
        "FILE:9: models.delays.training.data.source: training on the predictions store needs actuals, "
        "and predictions.columns.actual is null; name their column there, "
        "or train on {csv: PATH}, {parquet: PATH} or {sql: QUERY}",
    ]


def test_a_trigger_by_a_metric_of_another_task_is_refused(tmp_path: Path) -> None:
    text = LEAST + (
        "      task: regression\n    triggers:\n"
        "      decay: {type: performance, metric: accuracy, below: 0.8, window: 7d}\n"
    )
    assert refused(tmp_path, text) == [
        "FILE:8: models.delays.triggers.decay.metric: accuracy is a metric of classification, "
        "and task is regression; write one of mae, mape, r2, rmse"
    ]


def test_a_variable_that_is_no_text_is_refused_even_where_it_is_a_secret(tmp_path: Path) -> None:
    text = LEAST.replace("{sklearn:", "{params: {key: '${API_KEY}'}, sklearn:")
    assert refused(tmp_path, text, API_KEY="\udcff") == [
        "FILE:5: models.delays.training.trainer.params.key: "
        "the text holds a character that is none (NUL or half a pair); remove it"
    ]


def test_a_drift_trigger_with_nothing_to_compare_is_refused(tmp_path: Path) -> None:
    text = LEAST + "    triggers: {drift: {type: drift, prediction: false}}\n"
    assert refused(tmp_path, text) == [
        "FILE:6: models.delays.triggers.drift: there is nothing to compare; "
        "list features in predictions.columns.features, or write prediction: true"
    ]
