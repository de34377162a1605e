"""Run the provider from the command line: prints its URL as the first line and serves until SIGTERM.

Owns the arguments and the signals of the process. It must never print anything else on stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path

from bursar.testing.provider.app import ProviderApp
from bursar.testing.provider.script import Script
from bursar.testing.provider.server import ProviderServer, listen


def main() -> int:
    """Serve until SIGTERM or SIGINT and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bursar.testing.provider", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default 0: a free one)")
    parser.add_argument("--scripts", type=Path, help="JSON file: an object from model to script")
    parser.add_argument("--until-stdin-ends", action="store_true", help="end when standard input is closed")
    options = parser.parse_args()
    scripts = {} if options.scripts is None else _read_scripts(options.scripts)
    _allow_many_connections()
    sock = listen(options.host, options.port)
    server = ProviderServer(ProviderApp(scripts))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: server.stop())
    if options.until_stdin_ends:
        threading.Thread(target=_stop_when_stdin_ends, args=(server,), daemon=True).start()
    sys.stdout.write(f"http://{options.host}:{sock.getsockname()[1]}\n")
    sys.stdout.flush()
    server.run(sockets=[sock])
    return 0


def _read_scripts(file: Path) -> dict[str, Script]:
    return {model: Script.from_json(data) for model, data in json.loads(file.read_text()).items()}


def _allow_many_connections() -> None:
    """Raise the limit of open files as far as the system lets us: each connection is one."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _stop_when_stdin_ends(server: ProviderServer) -> None:
    # Read below Python's buffer: a thread that holds the buffer's lock at exit aborts the interpreter.
    while os.read(sys.stdin.fileno(), 65_536):
        pass
    server.stop()


if __name__ == "__main__":
    sys.exit(main())
