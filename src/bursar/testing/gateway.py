"""A real gateway in a process of its own, for tests: started from a Settings, stopped or killed.

Owns the process. Its settings travel as a pickle in a private file; the gateway is the shipped one.
"""

from __future__ import annotations

import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import IO, Self

from bursar.config.settings import Settings

__all__ = ["GatewayProcess"]

START_S = 30.0
STOP_S = 40.0


class GatewayProcess:
    """Run a gateway while the context lasts. `url` is its address without a path."""

    def __init__(self, settings: Settings, log: IO[str] | None = None) -> None:
        self.settings = settings
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start, and wait until it answers. Each start takes a free port when the settings say port 0."""
        with tempfile.NamedTemporaryFile(suffix=".pickle", delete=False) as file:
            pickle.dump(self.settings, file)
        self._process = subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
            [sys.executable, "-m", "bursar.testing.gateway", file.name],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        Path(file.name).unlink()
        if not self.url:
            raise RuntimeError(f"the gateway did not start (exit code {self._process.wait(START_S)})")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it as `kill -9` does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self.wait()

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Wait for its end and give its exit code (negative: the signal)."""
        assert self._process is not None
        code = self._process.wait(timeout_s)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    def stop(self) -> int:
        """End it as SIGTERM does; harmless when it has ended."""
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        return self.wait()


def main(file: Path) -> int:
    """Serve the settings of a pickle; the address is the first line, once the port takes connections."""
    from bursar.gateway.server import listen, serve  # noqa: PLC0415 - only the child process needs the server

    settings = pickle.loads(file.read_bytes())  # noqa: S301 - written by our own parent
    assert isinstance(settings, Settings)
    listening = listen(settings)
    listening.listen(4096)
    host, port = listening.getsockname()[:2]
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    return serve(replace(settings), listening)


def free_port() -> int:
    """Find a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
