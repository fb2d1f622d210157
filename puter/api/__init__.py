"""What a client can do: one file per capability, each operation written once, as a flow."""
