"""The public methods, by what they are about: each a pair of short doors onto one flow."""
