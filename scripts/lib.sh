# Shared by scripts/test and scripts/check; sourced, never run.

# need_debian PACKAGE COMMAND: make sure that COMMAND is there, from Debian's PACKAGE where we may install.
need_debian() {
    if command -v "$2" >/dev/null; then return; fi
    if command -v apt-get >/dev/null; then
        if [ "$(id -u)" = 0 ]; then as_root=; else as_root='sudo -n'; fi
        echo "installing Debian's $1" >&2
        if { $as_root apt-get update -q &&
            $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$1"; } >&2; then
            return
        fi
    fi
    echo "these tests need $2: install $1 (Debian, Ubuntu: sudo apt-get install $1), then run this again" >&2
    return 1
}

# Bring the SDKs of the generation before into .venv/sdks-old, beside and not among the current ones.
need_sdks_old() {
    wanted=$(cksum <requirements/sdks-old.lock)
    if [ "$(cat .venv/sdks-old/.packages 2>/dev/null)" = "$wanted" ]; then return; fi
    rm -rf .venv/sdks-old
    .venv/bin/python -m pip install -qq --no-deps --require-hashes --target .venv/sdks-old \
        -r requirements/sdks-old.lock >&2
    echo "$wanted" >.venv/sdks-old/.packages
}

# What is wrong without running anything: format, lint, types, import rules. Stops at the first that fails.
check_source() {
    .venv/bin/ruff format --check .
    .venv/bin/ruff check .
    .venv/bin/mypy --no-error-summary
    .venv/bin/lint-imports --no-logo
}
