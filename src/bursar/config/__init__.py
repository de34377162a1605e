"""Settings as frozen dataclasses, and the one loader: file < environment < flag. Unknown keys are refused."""
