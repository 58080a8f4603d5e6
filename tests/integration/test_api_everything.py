"""Everything once, over HTTP, on each engine: the whole story from an empty database to a verified ledger."""

import socket
import threading
from datetime import UTC, datetime

import httpx
import uvicorn

from ledger.api.app import create_app
from ledger.bootstrap import open_service
from ledger.cli.inputs import example_inputs
from ledger.cli.story import MINISTRY, Story
from ledger.keys import create_keys
from ledger.log.note import format_vkey
from ledger.services import sources, verifying
from ledger.services.setup import open_ledger
from ledger.settings import Settings

ORIGIN, ADMINISTRATOR = "test.oblik.example/story", "v.melnyk"


def test_the_story_comes_out_on_each_engine(engine, database_url, tmp_path):
    """Every step that succeeds does, every one that is refused is, and the ledger verifies and replays afterwards."""
    settings = Settings(data=tmp_path, database_url=database_url)
    vkeys = [format_vkey(signer) for signer in create_keys(settings.keys, origin=ORIGIN)]
    now = datetime.now(UTC)
    opened = open_ledger(engine, origin=ORIGIN, owner=MINISTRY, administrator=ADMINISTRATOR, vkeys=vkeys, now=now)
    service = open_service(settings)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(service), log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as http:
            Story(http, administrator=ADMINISTRATOR, token=opened.token, inputs=example_inputs(), now=now).play()
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
        service.close()
    with engine.connect() as connection:
        verified, replayed = verifying.replay(lambda: sources.DatabaseSource(connection))
    assert verified.size > 60
    assert (replayed.decisions, replayed.findings, replayed.unknown) == (6, (), {})
