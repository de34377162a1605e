"""The command line: one noun per file, listed here.

Owns the table of commands and `main`. A command's file is loaded when the command runs: `bursar --help` imports none.
"""

from __future__ import annotations

from bursar.cli.lazy import Entry, LazyGroup, root

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "init": Entry("bursar.cli.init:init", "Write a commented bursar.yaml to begin with."),
    "serve": Entry("bursar.cli.serve:serve", "Start the gateway that keeps your clients inside their budgets."),
    "demo": Entry("bursar.cli.demo:demo", "See it work in a minute: no key, no network, no bill."),
    "run": Entry("bursar.cli.run:run", "Run any program inside a budget, unchanged."),
    "budget": Entry("bursar.cli.budget:budget", "What is used, held and left of each budget; set, top up, remove."),
    "spend": Entry("bursar.cli.spend:spend", "Who spent what: by agent, model, user, day or any label."),
    "runs": Entry("bursar.cli.runs:runs", "Runs of agents: steps, tokens, cost, last activity."),
    "call": Entry("bursar.cli.call:call", "The last calls, or one call explained part by part."),
    "top": Entry("bursar.cli.top:top", "Watch the money live: rates, calls in flight, budgets filling."),
    "tail": Entry("bursar.cli.tail:tail", "Follow calls as they end, one line each."),
    "statusline": Entry("bursar.cli.statusline:statusline", "One short line for a prompt, tmux or Claude Code."),
    "holds": Entry("bursar.cli.holds:holds", "Money set aside for calls: list, correct, lapse."),
    "key": Entry("bursar.cli.key:key", "Keys for your clients: make, list, rotate, revoke."),
    "pause": Entry("bursar.cli.pause:pause", "Stop calls: of an agent, of a label, or all."),
    "resume": Entry("bursar.cli.pause:resume", "Let calls go on that were paused."),
    "price": Entry("bursar.cli.price:price", "What a model costs, and where that price comes from; set one."),
    "audit": Entry("bursar.cli.audit:audit", "Who changed what, and when."),
    "config": Entry("bursar.cli.config:config", "Check a configuration file before it is used."),
    "verify": Entry("bursar.cli.verify:verify", "Prove the ledger: recompute every balance from its entries."),
    "doctor": Entry("bursar.cli.doctor:doctor", "Find what is missing or risky in this set-up, with the fix."),
}
"""Every command, in the order in which a newcomer needs them."""

main: LazyGroup = root(COMMANDS)
