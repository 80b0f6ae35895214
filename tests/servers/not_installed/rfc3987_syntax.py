"""Stands for a package that is not installed.

jsonschema imports the real one with the extra `formats`, which takes two seconds to do so: for
each of the fifty processes of this folder.
"""

raise ImportError
