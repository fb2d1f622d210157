"""What calls return: immutable values, without I/O and without a client inside."""
