"""What operators look up of what is stored, for the command line and the console alike: `runs`, `actions`, `nodes` and
`letters`, page by page over a `database` that is only read; `causes` groups what runs failed of.
"""
