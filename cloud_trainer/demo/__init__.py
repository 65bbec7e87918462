"""The demo: labelled workloads of this machine, and a shipped recording of them, to see the whole loop in minutes."""
