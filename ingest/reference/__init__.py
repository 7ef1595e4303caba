"""Writes docs/reference and the man page out of the code, so that what they say is what the program does: `commands`,
`metrics` and `tables` are read, `pages`, `manual` and `asyncapi` written.
"""
