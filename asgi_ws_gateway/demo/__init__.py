"""A chat that shows most of what a gateway can do; `make demo` serves it."""
