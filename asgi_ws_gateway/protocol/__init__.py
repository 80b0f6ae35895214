"""The protocol without any I/O: standard library only, no awaits, no clock."""
