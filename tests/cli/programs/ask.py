"""Ask once with nothing but the standard library, at the address and with the words that the command line names."""

import json
import os
import sys
import urllib.error
import urllib.request

ADDRESS = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
ASKED = {"model": "m", "max_tokens": 5000, "messages": [{"role": "user", "content": "hello"}]}


def ask(address: str = ADDRESS) -> int:
    request = urllib.request.Request(address, json.dumps(ASKED).encode(), {"authorization": "Bearer k"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


if __name__ == "__main__":
    # The first part of the path is the run's secret.
    wrong = ADDRESS.replace(ADDRESS.split("/")[3], "guessed")
    print([ask(), ask(wrong)] if sys.argv[1:] == ["wrong"] else ask(), flush=True)
