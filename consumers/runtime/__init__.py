"""What any long-lived process needs of its machine: `exit_codes`, `signals`, `urls` that may change, `systemd`,
`long_life`, `orphans`, `durable` files, and the tests' `failpoints`.
"""
