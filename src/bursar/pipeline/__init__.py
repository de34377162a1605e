"""The stages that a call passes, and the hold at their heart."""
