"""Two models, or two tasks, on shared samples: differences with intervals, tests and power."""
