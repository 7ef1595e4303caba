"""The benchmark: contenders side by side on one private stack, each checked for what it stored."""
