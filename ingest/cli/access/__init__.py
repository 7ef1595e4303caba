"""Who may come in, at the command line: `token` makes tokens, `keys` brings public keys."""
