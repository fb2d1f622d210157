"""What a client can do: one flow per capability, with no I/O of its own."""
