"""The keys of one client are in one slot of a Redis cluster, where many are read at once."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from django.conf import settings as chosen
from redis.cluster import RedisCluster

from tests.field.journey import walk_to_rotation
from tests.field.processes import running

NODES = 3
pytestmark = pytest.mark.django_db(transaction=True)


def node(port, bus):
    """Return the command of a node that keeps nothing."""
    return [
        *("redis-server", "--port", str(port), "--cluster-port", str(bus), "--bind", "127.0.0.1"),
        *("--cluster-enabled", "yes", "--cluster-config-file", f"{port}.conf"),
        *("--save", "", "--appendonly", "no", "--protected-mode", "no"),
    ]


@pytest.fixture(scope="session", autouse=True)
def cluster():
    folder = Path(tempfile.mkdtemp())
    ports, buses = chosen.CLUSTER[:NODES], chosen.CLUSTER[NODES:]
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        for port, bus in zip(ports, buses, strict=True):
            stack.enter_context(running(node(port, bus), port, folder))
        nodes = [f"127.0.0.1:{port}" for port in ports]
        command = ["redis-cli", "--cluster", "create", *nodes, "--cluster-yes"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
        for port in ports:
            wait_until_whole(port)
        yield


def wait_until_whole(port):
    command = ["redis-cli", "-p", str(port), "cluster", "info"]
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        said = subprocess.run(command, check=True, capture_output=True, timeout=10).stdout
        if b"cluster_state:ok" in said:
            return
        time.sleep(0.1)
    raise RuntimeError(said.decode())


def test_the_cache_is_a_cluster():
    from django.core.cache import cache

    assert isinstance(cache._cache.get_client(), RedisCluster)


def test_journey(settings, person, caplog):
    settings.TOTP_THROTTLE_RATE = "100/minute"
    walk_to_rotation(person)
    assert "not throttled" not in caplog.text


def test_requests_are_limited(person, caplog):
    for _ in range(5):
        person.first_step()
    body = {person.user.USERNAME_FIELD: person.user.get_username(), "password": person.password}
    refused = person.refused(person.send("jwt-create", body), 429, "throttled")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert "CROSSSLOT" not in caplog.text
