"""Make a machine ready for olrunbook. Standard library only: nothing is installed yet.

`make` calls it by `setup/run.sh`. It says what it does and why, asks at most one
question, does nothing twice, and writes outside the tree only to the cache folder.
"""
