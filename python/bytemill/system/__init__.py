"""What bytemill asks the operating system for; no other module of the package names one.

`files` opens files, `locks` locks them, `processes` starts and stops programs, `memory` and `processor` give facts, and
`streams` sets the encoding of input and output. A fact that a system does not give is None.
"""
