"""What is generated from the operator table. `python -m tools` writes it all; tests/docs says when it is stale."""
