"""What gunicorn serves: the project of the peer that the variable ``BENCHMARK`` names."""

import json
import os

from django.core.handlers.wsgi import WSGIHandler

from benchmarks import peers

WHAT = json.loads(os.environ["BENCHMARK"])

peers.set_up(peers.PEERS[WHAT["peer"]](), database=WHAT["database"], **WHAT["settings"])
application = WSGIHandler()
