"""A broker that hangs while a message is acknowledged costs the worker none of its places."""

import logging

import redis
from kombu import Connection, Consumer, Producer, Queue
from kombu.transport import redis as transport

from workers.envelope import guard_transport


def test_the_next_message_is_taken_after_one_whose_acknowledgement_was_not_answered(valkey_url, monkeypatch):
    for kept in ((transport.Transport, "Channel"), (transport.SentinelTransport, "Channel"), (transport, "loads")):
        monkeypatch.setattr(*kept, getattr(*kept))
    guard_transport()
    taken = []
    options = {"socket_timeout": 0.5, "retry_on_timeout": False}
    with (
        redis.Redis.from_url(valkey_url) as client,
        Connection(valkey_url, transport_options=options) as connection,
        connection.channel() as channel,
        Consumer(channel, [Queue("work")], on_message=taken.append, prefetch_count=1),
    ):
        producer = Producer(connection.channel(), routing_key="work")
        producer.publish({"number": 1})
        connection.drain_events(timeout=5)
        producer.publish({"number": 2})
        client.client_pause(3_000, all=False)  # writes wait
        taken[0].ack_log_error(logging.getLogger(__name__), connection.connection_errors)
        client.client_unpause()
        assert taken[0].acknowledged is False
        connection.drain_events(timeout=5)
        assert [message.payload["number"] for message in taken] == [1, 2]
        assert channel.qos.can_consume() is False  # the second has the place
