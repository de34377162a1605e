"""Reports: functions over what a ledger reads, giving frozen dataclasses. They format nothing and print nothing."""
