"""The workstation and the server: data, training, export, rollout, ingest, drift."""
