"""Estimates from looks inside arms."""
