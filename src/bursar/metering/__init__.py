"""What a call may cost: its input estimated, its usual answer, and the bound that follows."""
