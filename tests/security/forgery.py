"""Messages as the queue sends them, to be changed by whoever can write to the broker."""

import base64
import json
import sys
import uuid
from pathlib import Path
from typing import Any

PLAIN = "application/json"
JOB = "261121-142500-abcdef"


def configured(folder: Path, broker: str) -> Path:
    folder.mkdir(exist_ok=True)
    text = CONFIGURATION.format(broker="embedded" if broker == "memory" else broker, python=sys.executable)
    (folder / "retraind.yaml").write_text(text)
    return folder / "retraind.yaml"


CONFIGURATION = """
models:
  delays:
    predictions: {{url: "sqlite:///monitoring.db", columns: {{features: [distance]}}}}
    training: {{trainer: {{command: ["{python}", "-c", "pass"]}}}}
broker: "{broker}"
"""


def envelope(body: Any, task: str = "retraind.train", **headers: Any) -> dict[str, Any]:
    """An entry of the queue as kombu writes it."""
    tag = str(uuid.uuid4())
    return {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": PLAIN,
        "headers": {"lang": "py", "task": task, "id": tag, "root_id": tag, "timelimit": [None, None], **headers},
        "properties": {
            "correlation_id": tag,
            "delivery_info": {"exchange": "", "routing_key": "retraind"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": tag,
        },
    }
