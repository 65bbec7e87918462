"""What device and cloud agree on: one module a document, each with a section in FORMAT.md.

One rule: any bytes give a value or a `ContractError`, nothing else. Standard library alone, no IO; what the
numbers mean to a model is decided elsewhere (`native`, `engines`, `drift`).
"""
