"""What a person sees: `tables` fits rows to a terminal, `trail` remembers what was, `picture` draws both,
`watch` draws it again and again and hears keys, `status` is the command; `progress` tells how far
other commands are.
"""
