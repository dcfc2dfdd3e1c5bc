"""What Kairan does: one package a subject, without Flask and huey.

A package imports only what stands above it in the table of `tests/architecture/test_dependencies.py`.
"""
