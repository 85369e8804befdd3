"""Measurements of what the README claims. `python -m bench` runs all, `python -m bench steps` one."""
