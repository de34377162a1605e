"""One file for each agent framework: it names agent, task, step and tool, and stops cleanly. The money needs none."""
