"""The vocabulary of the RFCs as plain values and pure functions: no I/O, no framework, no clock of its own.

An instant is POSIX seconds (RFC 7519 calls it NumericDate), a duration is seconds, everywhere in this project.
"""
